import { type Ablation, CircuitscopeError, edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { acdc } from './acdc.ts';
import type { AcdcOrder } from './acdc-order.ts';
import { attributionOfUnits } from './attribution-patching.ts';
import { complement, connected, type Discovered, type DiscoverOptions, discoverCircuit } from './discover.ts';
import { eapScores } from './eap.ts';
import { type EdgeEffects, edgeEffects } from './edge-effects.ts';
import { type EdgeScores, importance, liftToEdges } from './edge-scores.ts';
import { cutEdges, type MeasureOptions, meanValue, measure, sourceRuns } from './measure.ts';
import { headCounts } from './query-heads.ts';
import type { TaskData } from './task-data.ts';

/**
 * What says which edges matter. `exact`: every edge is cut. `acdc`: cut one after the other. The others estimate to first
 * order and rank edges by size: `eap`, `eap-ig`, and `attribution`, which scores units and gives an edge its weaker end.
 */
export type DiscoveryMethod =
  | { readonly kind: 'exact' }
  | { readonly kind: 'acdc'; readonly order?: AcdcOrder }
  | { readonly kind: 'eap' }
  | { readonly kind: 'eap-ig'; readonly steps: number; readonly sum?: 'paper' | 'code' }
  | { readonly kind: 'attribution' };

/** Cut alone, each costs a pass: of what an estimate keeps, this many are, the best first. */
const CUT_ALONE = 128;

/**
 * A circuit by any method, judged by cutting what is left out. Under `threshold` an edge stays if its score (for ACDC, the
 * harm of cutting it) is larger than τ; under `backward` `exact` drops edges from the logits down, while of a ranking the
 * fewest best edges stay that recover the share. What lies on no path from the input to the logits goes.
 *
 * @throws CircuitscopeError `bad_rule` for ACDC without a threshold; what the methods throw
 */
export async function discoverBy(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { method, ...options }: DiscoverOptions & { readonly method: DiscoveryMethod },
): Promise<Discovered> {
  if (method.kind === 'exact') return discoverCircuit(engine, data, edges, options);
  const { ablation, metric, prune, onProgress, ...rest } = options;
  const step = (from: number, to: number) => ({
    onProgress: (share: number) => onProgress?.(from + (to - from) * share),
  });
  const runs = await sourceRuns(engine, data, ablation, rest);
  const shared = { ...rest, runs };
  const about = { ablation, metric };
  const counts = headCounts(edges);
  const circuitOf = (kept: readonly Edge[]): Edge[] => connected(kept, counts);
  const cutAround = (kept: readonly Edge[]) => cutEdges(complement(edges, circuitOf(kept)), ablation);

  if (method.kind === 'acdc') {
    if (prune.rule !== 'threshold') {
      throw new CircuitscopeError(
        'bad_rule',
        'ACDC asks of each edge what its cut harms; give a threshold, not a share.',
        {
          expected: 'threshold',
          got: prune.rule,
        },
      );
    }
    const { threshold } = prune;
    const order = method.order ? { order: method.order } : {};
    const found = await acdc(engine, data, edges, { ...shared, ...about, threshold, ...order, ...step(0, 0.8) });
    const kept = circuitOf(found.edges);
    return judged(kept, { rule: 'acdc', threshold });
  }

  const scores = await scoresBy(method, engine, data, edges, { ...rest, ...about, ...step(0, 0.4) });
  const sizes = importance(scores);
  const ranked = [...edges.keys()]
    .sort((a, b) => (sizes[b] as number) - (sizes[a] as number) || a - b)
    .flatMap((at) => edges[at] ?? []);
  if (prune.rule === 'threshold') {
    const many = sizes.filter((size) => size > prune.threshold).length;
    return judged(circuitOf(ranked.slice(0, many)), prune, scores);
  }
  const best = await fewestThatRecover(ranked, prune.recover, (kept) => metricsOf(kept.map(cutAround)), await ends());
  return judged(circuitOf(best), { rule: 'best', recover: prune.recover }, scores);

  async function metricsOf(variants: readonly ReturnType<typeof cutEdges>[]): Promise<number[]> {
    const measured = await measure(engine, data, metric, variants, shared);
    return variants.map((_, variant) => meanValue(measured, variant));
  }

  async function ends(): Promise<readonly [whole: number, empty: number]> {
    const [whole = Number.NaN, empty = Number.NaN] = await metricsOf([[], cutEdges(edges, ablation)]);
    return [whole, empty];
  }

  async function judged(kept: readonly Edge[], by: Discovered['prune'], ranking?: EdgeScores): Promise<Discovered> {
    const [whole, empty] = await ends();
    const [alone = Number.NaN] = await metricsOf([cutEdges(complement(edges, kept), ablation)]);
    const inside = new Set(kept.map(edgeLabel));
    const first = (ranking ? ranked : kept).filter((edge) => inside.has(edgeLabel(edge))).slice(0, CUT_ALONE);
    const effects: EdgeEffects = await edgeEffects(engine, data, first, { ...shared, ...about, ...step(0.8, 1) });
    // In the order in which the model's edges are listed, as the other methods give them.
    const list = edges.filter((edge) => inside.has(edgeLabel(edge)));
    return { edges: list, effects, prune: by, whole, alone, empty, ...(ranking ? { ranking } : {}) };
  }
}

/** Scores of every edge by a method that needs no search. */
export async function scoresBy(
  method: Exclude<DiscoveryMethod, { kind: 'exact' | 'acdc' }>,
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: MeasureOptions & { readonly ablation: Ablation; readonly metric: DiscoverOptions['metric'] },
): Promise<EdgeScores> {
  switch (method.kind) {
    case 'eap':
      return eapScores(engine, data, edges, options);
    case 'eap-ig': {
      const { steps, sum = 'paper' } = method;
      return eapScores(engine, data, edges, { ...options, integrate: { steps, sum } });
    }
    case 'attribution':
      return liftToEdges(edges, await attributionOfUnits(engine, data, edges, options), 'weaker');
  }
}

/**
 * Sizes 1, 2, 4, … of the ranking are tried together, then the range below the first that recovers is halved. More edges
 * need not recover more, so a smaller circuit may have been missed; what is given does recover, or is everything.
 */
async function fewestThatRecover(
  ranked: readonly Edge[],
  recover: number,
  score: (circuits: readonly (readonly Edge[])[]) => Promise<number[]>,
  [whole, empty]: readonly [number, number],
): Promise<readonly Edge[]> {
  const limit = empty + recover * (whole - empty);
  const enough = (value: number): boolean => Math.sign(whole - empty) * (value - limit) >= 0;
  const sizes: number[] = [];
  for (let size = 1; size < ranked.length; size *= 2) sizes.push(size);
  const first = (await score(sizes.map((size) => ranked.slice(0, size)))).findIndex(enough);
  let [below, above] = first < 0 ? [sizes.at(-1) ?? 0, ranked.length] : [sizes[first - 1] ?? 0, sizes[first] ?? 1];
  while (above - below > 1) {
    const middle = (above + below) >> 1;
    const [value = Number.NaN] = await score([ranked.slice(0, middle)]);
    if (enough(value)) above = middle;
    else below = middle;
  }
  return ranked.slice(0, above);
}
