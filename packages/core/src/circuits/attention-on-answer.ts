import { type Ablation, edgeLabel } from '@circuitscope/schema';
import { type Edge, findSite } from '../graph/index.ts';
import { type Engine, makePlan, type RunOptions, runPlan } from '../plan/index.ts';
import { cutEdges, meanOf, sourceRuns } from './measure.ts';
import { queryHeads } from './query-heads.ts';
import type { TaskData } from './task-data.ts';

/**
 * What an edge into a head's query or key does after the softmax: the head's attention from the place of the metric to
 * all places that hold the answer, whole minus cut, averaged over examples, and over the query heads that share the reader.
 * By edge label; other edges have none.
 */
export async function attentionOnAnswer(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  ablation: Ablation,
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'> = {},
): Promise<ReadonlyMap<string, number>> {
  const asked = edges.filter(({ to }) => to.kind === 'head' && to.port !== 'v');
  const layers = [...new Set(asked.map(({ to }) => (to.kind === 'head' ? to.layer : 0)))];
  const changes = new Map<string, number>();
  const runs = await sourceRuns(engine, data, ablation, run);
  for (const layer of layers) {
    const inLayer = asked.filter(({ to }) => to.kind === 'head' && to.layer === layer);
    const at = { site: `blocks.${layer}.attn.hook_pattern`, at: data.at };
    const plan = makePlan(engine.graph, {
      readouts: [{ kind: 'capture', at }],
      sweep: [[], ...inLayer.map((edge) => cutEdges([edge], ablation))],
    });
    const result = (await runPlan(engine, plan, data.clean, { ...run, runs })).results[0];
    if (result?.kind !== 'capture') continue;
    // [variant, example, head, 1, key]
    const [, examples = 0, heads = 0, , keys = 0] = result.tensor.shape;
    const kvHeads = Number(findSite(engine.graph, `blocks.${layer}.attn.hook_k`).shape[2]);
    const attention = (variant: number, head: number): number => {
      let sum = 0;
      for (let example = 0; example < examples; example++) {
        for (let key = 0; key <= (data.end[example] ?? 0); key++) {
          if (data.clean.tokens[example]?.[key] !== data.answer[example]) continue;
          sum += result.tensor.data[((variant * examples + example) * heads + head) * keys + key] ?? 0;
        }
      }
      return sum / examples;
    };
    inLayer.forEach((edge, index) => {
      if (edge.to.kind !== 'head') return;
      const behind = queryHeads(edge.to, { heads, kvHeads });
      changes.set(edgeLabel(edge), meanOf(behind.map((head) => attention(0, head) - attention(index + 1, head))));
    });
  }
  return changes;
}
