import type { GradientTarget, Intervention, Readout } from '@circuitscope/schema';
import { readerSite } from '../graph/index.ts';
import { type Engine, makePlan, runPlan } from '../plan/index.ts';
import { digestTensor, type Floats, type Tensor } from '../tensor/index.ts';
import { metricTarget } from './metric-target.ts';
import { type PatchedPath, type PathOptions, senderScope, sitesBetween } from './path-patch.ts';
import { siteChanges } from './site-changes.ts';
import { someExamples } from './some-examples.ts';
import type { TaskData } from './task-data.ts';

/**
 * The linear twin of {@link pathPatch}: −(ã − a)·(∂x_v/∂a)ᵀ ∂metric/∂x_v, a the sender, x_v what the receiver's port reads,
 * heads between held, as a mean over examples: whole minus patched. Off by terms of second order in ã − a. With MLPs held it
 * is the EAP score of that edge. With MLPs on the way each position is a target of its own: two backwards an example.
 */
export async function linearisedPathPatch(
  engine: Engine,
  data: TaskData,
  path: PatchedPath,
  { ablation, metric, share = 1, ...options }: PathOptions,
): Promise<{ readonly effect: number; readonly perExample: Float64Array }> {
  const { onProgress: _, ...quiet } = options;
  const scope = senderScope(path.sender);
  const held = sitesBetween(engine, path).filter((site) => site !== scope.site);
  const detached = held.map((site): Intervention => ({ kind: 'detach', at: { site } }));
  const port = readerSite(path.receiver);
  const { sites } = await siteChanges(engine, data, ablation, [scope.site], quiet);
  const moved = sites.get(scope.site);
  if (!moved) throw new Error(`${scope.site} was not read`);
  const positions = data.clean.tokens[0]?.length ?? 0;
  const [, , ...inner] = moved.shape;
  const width = inner.reduce((a, b) => a * b, 1);
  // Of z, [pos, head, d_head], only the sender's head changes.
  const part = scope.head ? { from: (scope.head[0] ?? 0) * (inner[1] ?? 1), width: inner[1] ?? 1 } : { from: 0, width };
  const perExample = new Float64Array(data.examples);
  for (let example = 0; example < data.examples; example++) {
    const prompt = someExamples(data.clean, example, example + 1);
    const target = metricTarget(metric, data, example, example + 1);
    const gradientAt = async (of: readonly GradientTarget[], site: string, more: Intervention[], given: Tensor[]) => {
      const readouts: Readout[] = [{ kind: 'gradient', of: [...of], wrt: { kind: 'site', at: { site } } }];
      const plan = makePlan(engine.graph, { interventions: more, readouts });
      const artefacts = new Map(given.map((tensor) => [digestTensor(tensor), tensor]));
      const [result] = (await runPlan(engine, plan, prompt, { ...quiet, artefacts })).results;
      return result?.kind === 'gradient' ? result.tensor : { shape: [], data: new Float64Array(0) };
    };
    const read = await gradientAt([target], port, [], []);
    const { receiver } = path;
    const heads = receiver.kind === 'head' ? (read.shape[3] ?? 1) : 1;
    const model = read.data.length / (positions * heads);
    const head = receiver.kind === 'head' ? receiver.head : 0;
    const directions = Array.from({ length: positions }, (__, at): Tensor => {
      const start = (at * heads + head) * model;
      return { shape: [model], data: Float64Array.from(read.data.subarray(start, start + model)) };
    });
    const of = directions.map(
      (tensor, at): GradientTarget => ({
        kind: 'site',
        at: {
          site: port,
          at: { kind: 'positions', positions: [at] },
          ...(receiver.kind === 'head' ? { head: [receiver.head] } : {}),
        },
        direction: digestTensor(tensor),
      }),
    );
    const back = await gradientAt(of, scope.site, detached, directions);
    const size = positions * width;
    for (let row = 0; row < positions; row++) {
      const change = { data: moved.change, from: example * size };
      const gradient = { data: back.data, from: row * size };
      perExample[example] =
        (perExample[example] as number) - share * dotOf(change, gradient, { positions, width, part });
    }
  }
  return { effect: perExample.reduce((a, b) => a + b, 0) / data.examples, perExample };
}

interface Rows {
  readonly data: Floats;
  readonly from: number;
}

interface Part {
  readonly positions: number;
  readonly width: number;
  readonly part: { readonly from: number; readonly width: number };
}

/** Products over positions and a part of the width. */
function dotOf(x: Rows, y: Rows, { positions, width, part }: Part): number {
  let sum = 0;
  for (let at = 0; at < positions; at++) {
    const start = at * width + part.from;
    for (let entry = start; entry < start + part.width; entry++)
      sum += (x.data[x.from + entry] as number) * (y.data[y.from + entry] as number);
  }
  return sum;
}
