// An edge holds several weights that must never be mixed in one picture: an exact effect, an effective weight and an
// unsigned composition norm have different units and signs. A choice names one column; only edges that hold exactly
// that column get a width, all others are shown as having no value.

import type { Circuit, CircuitEdge, EdgeWeight, WeightKind } from '@circuitscope/schema';

export interface WeightChoice {
  /** Identifies the choice inside one view; for option values, never stored in a record. */
  readonly key: string;
  readonly kind: EdgeWeight['kind'];
  readonly ablation?: EdgeWeight['ablation'];
  readonly unit?: string;
  readonly method: string;
  readonly stage?: EdgeWeight['stage'];
  readonly sign: EdgeWeight['sign'];
  /** The value shown is `value - baseline`. */
  readonly minusBaseline: boolean;
  /** How many edges hold it. */
  readonly edges: number;
}

/** Every column the circuit's edges hold, in order of first appearance; one with a baseline appears raw and debiased. */
export function listWeightChoices(circuit: Circuit): readonly WeightChoice[] {
  const found = new Map<string, WeightChoice>();
  const count = (weight: EdgeWeight, minusBaseline: boolean) => {
    const key = columnKey(weight, minusBaseline);
    const known = found.get(key);
    if (known) found.set(key, { ...known, edges: known.edges + 1 });
    else {
      const { kind, ablation, unit, method, stage, sign } = weight;
      found.set(key, {
        key,
        kind,
        ...(ablation === undefined ? {} : { ablation }),
        ...(unit === undefined ? {} : { unit }),
        method,
        ...(stage === undefined ? {} : { stage }),
        sign,
        minusBaseline,
        edges: 1,
      });
    }
  };
  for (const edge of circuit.edges) {
    for (const weight of edge.weights) {
      count(weight, false);
      if (weight.baseline !== undefined) count(weight, true);
    }
  }
  return [...found.values()];
}

/**
 * The edge's number in the chosen column, with the weight it was read from; undefined where the edge has none. Of several
 * that differ only in the features they lie between, the first stands for the edge; the detail lists all.
 */
export function chosenWeight(
  edge: CircuitEdge,
  choice: WeightChoice,
): { readonly value: number; readonly weight: EdgeWeight } | undefined {
  const weight = edge.weights.find((candidate) => columnKey(candidate, choice.minusBaseline) === choice.key);
  if (!weight) return undefined;
  const value = choice.minusBaseline ? weight.value - (weight.baseline ?? 0) : weight.value;
  // A score that was not computed (NaN in some imported files) has no width.
  return Number.isFinite(value) ? { value, weight } : undefined;
}

/** A key, or the bare name of a kind; the first choice when it fits none. */
export function findChoice(choices: readonly WeightChoice[], wanted: string | undefined): WeightChoice | undefined {
  return (
    choices.find((choice) => choice.key === wanted) ?? choices.find((choice) => choice.kind === wanted) ?? choices[0]
  );
}

/** "patch effect, zero ablation (logit_diff)"; the method is added where another choice would read the same. */
export function choiceLabel(choice: WeightChoice, among: readonly WeightChoice[] = []): string {
  const label = shortLabel(choice, among);
  const hasTwin = among.some((other) => other.key !== choice.key && shortLabel(other, among) === label);
  return hasTwin ? `${label}, ${choice.method}` : label;
}

function shortLabel(choice: WeightChoice, among: readonly WeightChoice[]): string {
  const parts: string[] = [KIND_NAMES[choice.kind]];
  if (choice.ablation) parts.push(`, ${choice.ablation} ablation`);
  if (choice.stage) parts.push(`, ${choice.stage.replace('_', '-')}`);
  if (choice.minusBaseline) parts.push(', minus baseline');
  else if (among.some((other) => other.minusBaseline && isRawOf(choice, other))) parts.push(', raw');
  if (choice.unit) parts.push(` (${choice.unit})`);
  return parts.join('');
}

function isRawOf(raw: WeightChoice, other: WeightChoice): boolean {
  return (['kind', 'ablation', 'unit', 'method', 'stage', 'sign'] as const).every((part) => raw[part] === other[part]);
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

/** The key of the choice that this weight belongs to. */
export function columnKey(weight: EdgeWeight, minusBaseline: boolean): string {
  return JSON.stringify([
    weight.kind,
    weight.ablation ?? '',
    weight.unit ?? '',
    weight.method,
    weight.stage ?? '',
    weight.sign,
    minusBaseline ? 'minus baseline' : '',
  ]);
}
