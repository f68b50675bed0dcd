import type { Dim } from '../graph/index.ts';
import type { Program, Step } from './program.ts';

interface Unplanned {
  readonly values: readonly { readonly shape: readonly Dim[]; readonly dtype: 'f32' | 'i32' }[];
  readonly steps: readonly Step[];
  readonly inputs: readonly { readonly name: string; readonly value: number }[];
  readonly params: readonly string[];
  readonly outputs: readonly { readonly name: string; readonly value: number }[];
}

/**
 * Plans the arena by liveness: a value's slot is free again after its last reader. Slots are shared among values of
 * equal symbolic size, so that the plan holds for every batch and length; layers repeat, so little is lost by that.
 * Outputs are pinned. A step's outputs never share a slot with its inputs.
 */
export function assignSlots({ values, steps, inputs, params, outputs }: Unplanned): Program {
  const lastUse = new Array<number>(values.length).fill(-1);
  steps.forEach((step, index) => {
    for (const value of [...step.in, ...step.out]) if (value >= 0) lastUse[value] = index;
  });
  for (const { value } of outputs) lastUse[value] = Number.POSITIVE_INFINITY;

  const slotOf = new Array<number>(values.length).fill(-1);
  const free = new Map<string, number[]>();
  let slots = 0;
  const size = (value: number): string => sizeKey(values[value]?.shape ?? []);
  const take = (value: number): void => {
    if (value < 0 || slotOf[value] !== -1) return;
    slotOf[value] = free.get(size(value))?.pop() ?? slots++;
  };
  for (const { value } of inputs) take(value);
  const releaseAfter = new Map<number, number[]>();
  lastUse.forEach((step, value) => {
    if (Number.isFinite(step) && step >= 0) releaseAfter.set(step, [...(releaseAfter.get(step) ?? []), value]);
  });
  steps.forEach((step, index) => {
    for (const value of step.out) take(value);
    for (const value of releaseAfter.get(index) ?? []) {
      const slot = slotOf[value] ?? -1;
      if (slot >= 0) free.set(size(value), [...(free.get(size(value)) ?? []), slot]);
    }
  });
  return {
    version: 1,
    values: values.map((value, index) => ({ ...value, slot: slotOf[index] ?? -1 })),
    slots,
    inputs: inputs.map(({ name, value }) => ({ name, value })),
    params,
    steps,
    outputs,
  };
}

/** Equal for shapes with the same number of entries whatever the symbols are bound to. */
function sizeKey(shape: readonly Dim[]): string {
  const number = shape.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
  return [number, ...shape.filter((dim) => typeof dim === 'string').sort()].join('*');
}
