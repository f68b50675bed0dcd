import { CircuitscopeError } from '@circuitscope/schema';

/** How the learning rate runs over the steps, as a factor of its peak. T is the number of steps. */
export type Schedule =
  | { readonly kind: 'constant' }
  /** t/warmup up to 1, then cosine or straight line down to 0 at T. */
  | { readonly kind: 'warmup'; readonly warmup: number; readonly decay: 'cosine' | 'linear' | 'none' }
  /** 1 in the first half, then a straight line down to 0 at T. */
  | { readonly kind: 'secondHalf' };

/**
 * The factor for the step that follows `done` finished ones: 0 ≤ done < steps. A warm-up counts the step it makes, so the
 * first factor is 1/warmup, not 0. The cosine is rounded to float32 first, as runtimes differ in the last bit of a double.
 */
export function learningRateFactor(schedule: Schedule, done: number, steps: number): number {
  if (!Number.isInteger(done) || !Number.isInteger(steps) || done < 0 || done >= steps) {
    throw new CircuitscopeError('bad_schedule', `Step ${done} is not one of ${steps} steps.`, {
      expected: `0 to ${steps - 1}`,
      got: String(done),
    });
  }
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'secondHalf':
      return done < steps / 2 ? 1 : (2 * (steps - done)) / steps;
    case 'warmup': {
      const { warmup, decay } = schedule;
      if (done < warmup) return (done + 1) / warmup;
      if (decay === 'none') return 1;
      const left = (steps - done) / Math.max(steps - warmup, 1);
      return decay === 'linear' ? left : 0.5 * (1 - Math.fround(Math.cos(Math.PI * left)));
    }
  }
}
