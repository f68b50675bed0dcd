// An edge holds several weights that must never be mixed in one picture: an exact effect, an effective weight and an
// unsigned composition norm have different units and signs. A choice names one column; only edges that hold exactly
// that column get a width, all others are shown as having no value.

import type { Circuit, CircuitEdge, EdgeWeight, WeightKind } from '@circuitscope/schema';

export interface WeightChoice {
  /** Identifies the choice inside one view; for option values, never stored in a record. */
  readonly key: string;
  readonly kind: WeightKind;
  readonly sign: EdgeWeight['sign'];
  readonly ablation: EdgeWeight['ablation'];
  readonly stage: EdgeWeight['stage'];
  readonly unit: EdgeWeight['unit'];
  /** Undefined where the edges of the column name different methods. */
  readonly method: string | undefined;
  /** The column holds one method only, though its edges also hold the same by another. */
  readonly isSplit: boolean;
  /** The value shown is `value - baseline`. */
  readonly minusBaseline: boolean;
  /** How many edges hold it. */
  readonly edges: number;
}

/**
 * The same kind by so many methods on one edge (EAP beside EAP-IG) are columns of their own. More is text that describes
 * each edge; those stay one column.
 */
const MAX_METHODS = 4;

/** Every column the circuit's edges hold, in order of first appearance; one with a baseline appears raw and debiased. */
export function listWeightChoices(circuit: Circuit): readonly WeightChoice[] {
  const groups = new Map<string, { first: EdgeWeight; methods: Set<string>; repeats: boolean }>();
  for (const edge of circuit.edges) {
    const onThisEdge = new Set<string>();
    for (const weight of edge.weights) {
      const key = groupKey(weight);
      const group = groups.get(key);
      if (group) {
        group.methods.add(weight.method);
        group.repeats ||= onThisEdge.has(key);
      } else groups.set(key, { first: weight, methods: new Set([weight.method]), repeats: false });
      onThisEdge.add(key);
    }
  }
  const drafts = [...groups].flatMap(([key, { first, methods, repeats }]) => {
    const isSplit = repeats && methods.size > 1 && methods.size <= MAX_METHODS;
    const { kind, sign, ablation, stage, unit } = first;
    const single = methods.size === 1 ? first.method : undefined;
    return (isSplit ? [...methods] : [single]).flatMap((method) =>
      [false, true].map((minusBaseline) => ({
        ...{ kind, sign, ablation, stage, unit, method, isSplit, minusBaseline },
        key: JSON.stringify([key, isSplit ? method : '', minusBaseline]),
        edges: 0,
      })),
    );
  });
  return drafts
    .map((draft) => ({ ...draft, edges: circuit.edges.filter((edge) => chosenWeight(edge, draft)).length }))
    .filter((choice) => choice.edges > 0);
}

/** Whether a weight stands in the column of a choice. */
export function belongsTo(weight: EdgeWeight, choice: WeightChoice): boolean {
  return (
    weight.kind === choice.kind &&
    weight.sign === choice.sign &&
    weight.ablation === choice.ablation &&
    weight.stage === choice.stage &&
    weight.unit === choice.unit &&
    (!choice.isSplit || weight.method === choice.method) &&
    (!choice.minusBaseline || weight.baseline !== undefined)
  );
}

/**
 * The edge's number in the chosen column, with the weight it was read from; undefined where the edge has none. Of several
 * (between other features, by other paths) the largest stands for the edge; the detail lists all.
 */
export function chosenWeight(
  edge: CircuitEdge,
  choice: WeightChoice,
): { readonly value: number; readonly weight: EdgeWeight } | undefined {
  let best: { readonly value: number; readonly weight: EdgeWeight } | undefined;
  for (const weight of edge.weights) {
    if (!belongsTo(weight, choice)) continue;
    const value = choice.minusBaseline ? weight.value - (weight.baseline ?? 0) : weight.value;
    if (!best || Math.abs(value) > Math.abs(best.value)) best = { value, weight };
  }
  return best;
}

/** A key, or the bare name of a kind; the first choice when it fits none. */
export function findChoice(choices: readonly WeightChoice[], wanted: string | undefined): WeightChoice | undefined {
  return (
    choices.find((choice) => choice.key === wanted) ?? choices.find((choice) => choice.kind === wanted) ?? choices[0]
  );
}

/** "patch effect, zero ablation (logit_diff)" */
export function choiceLabel(choice: WeightChoice): string {
  const parts: string[] = [KIND_NAMES[choice.kind]];
  if (choice.isSplit && choice.method !== undefined) parts.push(`, ${choice.method}`);
  if (choice.ablation) parts.push(`, ${choice.ablation} ablation`);
  if (choice.stage) parts.push(`, ${choice.stage.replace('_', '-')}`);
  if (choice.minusBaseline) parts.push(', minus baseline');
  if (choice.unit) parts.push(` (${choice.unit})`);
  return parts.join('');
}

const KIND_NAMES: Readonly<Record<WeightKind, string>> = {
  virtual: 'virtual weight',
  effective_ov: 'effective weight through OV',
  effective_qk: 'effective weight through QK',
  direct_effect: 'direct effect',
  attribution: 'attribution',
  patch_effect: 'patch effect',
  composition: 'composition',
  attention: 'attention',
  mask: 'mask',
  membership: 'membership',
};

function groupKey({ kind, sign, ablation, stage, unit }: EdgeWeight): string {
  return JSON.stringify([kind, sign, ablation ?? '', stage ?? '', unit ?? '']);
}
