import { decompose, liveEffect } from '@circuitscope/core';
import { CircuitscopeError, edgeLabel, type Task, type UnitRef, unitLabel } from '@circuitscope/schema';
import type { Effect, EffectRequest } from '../live/effect.ts';
import type { LiveModel } from './engine.ts';

/**
 * Measures the task's metric with everything in the request cut at once, beside the model as it is.
 *
 * @throws CircuitscopeError `unknown_unit`, `unknown_reader` for parts that the model does not have.
 */
export async function effectOf(
  { engine }: LiveModel,
  task: Task,
  { edges, units, ablation }: EffectRequest,
  signal: AbortSignal,
): Promise<Effect> {
  const known = new Set(decompose(engine.graph).units.map(unitLabel));
  for (const unit of [...units, ...edges.map(({ from }) => from)])
    if (!known.has(unitLabel(unit))) throw unknownUnit(unit);
  // A unit stands for all its edges: one that is named besides would be cut twice.
  const whole = new Set(units.map(unitLabel));
  const single = new Map(
    edges.filter(({ from }) => !whole.has(unitLabel(from))).map((edge) => [edgeLabel(edge), edge]),
  );
  const cut = { edges: [...single.values()], units, ablation };
  const { metric, before, after, n, interval } = await liveEffect(engine, task, cut, { signal });
  return { metric, before, after, n, ...(interval ? { interval } : {}) };
}

function unknownUnit(unit: UnitRef): CircuitscopeError {
  const label = unitLabel(unit);
  return new CircuitscopeError(
    'unknown_unit',
    `This model has no ${label} that writes into its residual stream; choose another part.`,
    { got: label },
  );
}
