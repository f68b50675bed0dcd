import { z } from 'zod';
import { finite, index, interval, maybe, name, record } from './shape.ts';
import { Ablation } from './value.ts';

/**
 * How well a circuit accounts for the model's behaviour: faithfulness, completeness, minimality and their kin. `metric`
 * is what was read (logit_diff), `ablation` what stood in place of everything outside: both change the number. `random`
 * is the same measure on size-matched random circuits; `p` is the share of them, plus one, that does as well.
 */
export const CircuitMetric = record({
  name,
  value: finite,
  se: maybe(finite.nonnegative()),
  interval: maybe(interval),
  n: maybe(index),
  metric: name,
  ablation: maybe(Ablation),
  /** True if no example was used to find the circuit. */
  heldBack: z.boolean(),
  random: maybe(
    record({
      count: index,
      mean: finite,
      /** Of the random circuits' values: the middle 95 %. */
      interval: maybe(interval),
      max: maybe(finite),
      p: maybe(finite.min(0).max(1)),
    }),
  ),
});
export type CircuitMetric = z.infer<typeof CircuitMetric>;
