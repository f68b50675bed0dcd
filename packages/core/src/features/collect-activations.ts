import type { Site } from '@circuitscope/schema';
import { type Engine, makePlan, type RunOptions, readoutTensor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';

const captureBytes = 1 << 26;

/**
 * The vector at a site, at one position of each prompt: [example, width]. A site with heads gives its heads side by side.
 * Prompts are run in chunks, which changes no bit of a row.
 */
export async function collectActivations(
  engine: Engine,
  site: Site,
  prompts: { readonly tokens: readonly (readonly number[])[]; readonly at: readonly number[] },
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'> = {},
): Promise<Tensor> {
  const parts: Tensor['data'][] = [];
  const count = prompts.tokens.length;
  const length = prompts.tokens[0]?.length ?? 1;
  const node = engine.graph.nodes.find(({ sites }) => sites.includes(site));
  const width = (node?.shape ?? []).reduce<number>(
    (product, size) => product * (typeof size === 'number' ? size : 1),
    1,
  );
  const chunk = Math.max(1, Math.min(count, Math.floor(captureBytes / (4 * length * width))));
  for (let start = 0; start < count; start += chunk) {
    const tokens = prompts.tokens.slice(start, start + chunk);
    const positions = prompts.at.slice(start, start + chunk);
    const plan = makePlan(engine.graph, {
      readouts: [{ kind: 'capture', at: { site, at: { kind: 'perExample', positions } } }],
    });
    parts.push(readoutTensor(await runPlan(engine, plan, { tokens }, run), 0).data);
  }
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const data = parts.some((part) => part instanceof Float64Array) ? new Float64Array(total) : new Float32Array(total);
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return { shape: [count, count === 0 ? width : total / count], data };
}
