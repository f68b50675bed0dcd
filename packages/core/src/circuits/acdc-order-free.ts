import { edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { type EdgeScores, edgeScores } from './edge-scores.ts';
import { type SearchOptions, type SearchResult, type SearchStep, startSearch } from './edge-search.ts';
import type { TaskData } from './task-data.ts';

/**
 * Removal without an order: in each round every edge that is left is cut beside those already cut, and the one that does
 * least harm goes, as long as that is below τ; of equals the first by label. This is backward elimination (Marill and Green
 * 1963) under ACDC's rule. E edges cost up to E (E + 1) / 2 passes, where ACDC needs E: for models of a few hundred edges.
 * With τ = Infinity the order of `steps` ranks all edges.
 */
export async function acdcOrderFree(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: SearchOptions,
): Promise<SearchResult> {
  const search = await startSearch(engine, data, edges, options);
  const steps: SearchStep[] = [];
  let left = [...edges].sort((a, b) => (edgeLabel(a) < edgeLabel(b) ? -1 : 1));
  const drop = (step: SearchStep, harm?: number): void => {
    search.remove(step.edge, harm);
    steps.push(step);
    left = left.filter((edge) => edge !== step.edge);
  };
  for (;;) {
    // An edge that goes may leave another unit unread.
    for (let edge = unread(); edge; edge = unread()) drop({ edge, delta: 0, removed: true, asked: false });
    if (left.length === 0) break;
    const harms = await search.harm(left.map((edge) => [...search.cut(), edge]));
    const deltas = harms.map((harm) => harm - search.current());
    const cost = deltas.map((delta) => (options.bySize ? Math.abs(delta) : delta));
    const least = cost.reduce((best, value, at) => (value < (cost[best] as number) ? at : best), 0);
    const delta = deltas[least] as number;
    const edge = left[least];
    if (!edge || !search.goes(delta)) {
      // What stays is told with what it would have cost.
      left.forEach((kept, at) => {
        steps.push({ edge: kept, delta: deltas[at] as number, removed: false, asked: true });
      });
      break;
    }
    drop({ edge, delta, removed: true, asked: true }, harms[least]);
    options.onProgress?.(1 - (left.length / edges.length) ** 2);
  }
  const found = search.result(steps);
  return { ...found, oneByOne: found.forwards };

  function unread(): Edge | undefined {
    return left.find((edge) => !search.isRead(edge));
  }
}

/**
 * The order-free ranking: the place at which an edge goes when all go, from 0. Edges that go because nothing reads on have
 * the place of the edge that took the last reader away.
 */
export async function orderFreeScores(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: Omit<SearchOptions, 'threshold'>,
): Promise<EdgeScores> {
  const { steps, forwards } = await acdcOrderFree(engine, data, edges, {
    ...options,
    threshold: Number.POSITIVE_INFINITY,
  });
  const places = new Map<string, number>();
  let place = 0;
  for (const [at, { edge, asked }] of steps.entries()) {
    if (asked || at === 0) place = at;
    places.set(edgeLabel(edge), place);
  }
  return edgeScores({
    method: 'ACDC without order, place of removal',
    edges,
    scores: Float64Array.from(edges, (edge) => places.get(edgeLabel(edge)) ?? 0),
    sign: 'rank',
    ablation: options.ablation,
    metric: options.metric,
    forwards,
    backwards: 0,
  });
}
