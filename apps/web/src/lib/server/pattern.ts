import { captured, makePlan, runPlan } from '@circuitscope/core';
import { type Circuit, CircuitscopeError, type Task } from '@circuitscope/schema';
import type { Pattern } from '../live/effect.ts';
import type { LiveModel } from './engine.ts';
import { tokenTexts } from './token-texts.ts';

/** A longer prompt's pattern fits no screen, and its square no page. */
const MAX_POSITIONS = 256;

/** Attention of every head of a layer on the clean prompt of one example. */
export async function patternOf(
  live: LiveModel,
  circuit: Circuit,
  task: Task,
  { layer, example, signal }: { readonly layer: number; readonly example: number; readonly signal: AbortSignal },
): Promise<Pattern> {
  const tokens = task.examples[example]?.clean;
  if (!tokens) {
    throw new CircuitscopeError(
      'out_of_range',
      `The task ${task.name} has examples 0 to ${task.examples.length - 1}, not ${example}.`,
    );
  }
  if (tokens.length > MAX_POSITIONS) {
    throw new CircuitscopeError(
      'too_large',
      `Example ${example} has ${tokens.length} tokens; patterns are shown up to ${MAX_POSITIONS}.`,
    );
  }
  const site = `blocks.${layer}.attn.hook_pattern`;
  const plan = makePlan(live.engine.graph, { readouts: [{ kind: 'capture', at: { site } }] });
  const run = await runPlan(live.engine, plan, { tokens: [[...tokens]] }, { signal });
  // [batch = 1, head, query, key]
  const { shape, data } = captured(run, site);
  const [, heads = 0, queries = 0, keys = 0] = shape;
  const row = (head: number, query: number) =>
    Array.from({ length: keys }, (_, key) => round(data[(head * queries + query) * keys + key] ?? 0));
  return {
    layer,
    example,
    examples: task.examples.length,
    tokens: tokenTexts(tokens, circuit, task, live),
    heads: range(heads).map((head) => range(queries).map((query) => row(head, query))),
  };
}

/** Five digits are more than a shade of grey can show. */
const round = (share: number) => Math.round(share * 1e5) / 1e5;
const range = (length: number) => Array.from({ length }, (_, index) => index);
