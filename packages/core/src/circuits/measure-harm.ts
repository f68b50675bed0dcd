import type { Intervention } from '@circuitscope/schema';
import { type Engine, makePlan, runPlan } from '../plan/index.ts';
import { exp, log } from '../statistics/portable-math.ts';
import type { Floats } from '../tensor/index.ts';
import { type MeasureOptions, type Metric, meanOf, meanValue, measure } from './measure.ts';
import type { TaskData } from './task-data.ts';

/** What a search wants to keep from growing: a metric of the task, or `kl`, KL(whole ‖ cut) where the answer is read. */
export type SearchMetric = Metric | 'kl';

/**
 * The harm that changes do, larger being worse, as a mean over examples: −logit_diff, −accuracy, loss, or KL in nats.
 * Harms of one function compare to the bit: a variant's number does not depend on which others it is asked for with.
 */
export type Harm = (variants: readonly (readonly Intervention[])[]) => Promise<Float64Array>;

/** Logits of so many numbers are held at once for `kl`. */
const HELD_LOGITS = 1 << 24;

/** Costs one pass for `kl`, to know the whole model's distribution, and none for the other metrics. */
export async function harmOf(
  engine: Engine,
  data: TaskData,
  metric: SearchMetric,
  options: MeasureOptions,
): Promise<Harm> {
  // The search knows how far it is; a sweep inside it does not.
  const { onProgress: _, ...shared } = options;
  if (metric !== 'kl') {
    const worse = metric === 'loss' ? 1 : -1;
    return async (variants) => {
      const measured = await measure(engine, data, metric, variants, shared);
      return Float64Array.from(variants, (__, variant) => worse * meanValue(measured, variant));
    };
  }
  const logits = async (variants: readonly (readonly Intervention[])[]): Promise<Floats> => {
    const plan = makePlan(engine.graph, {
      readouts: [{ kind: 'capture', at: { site: 'logits', at: data.at } }],
      sweep: variants.map((list) => [...list]),
    });
    const result = (await runPlan(engine, plan, data.clean, shared)).results[0];
    // [variant, example, 1, vocab]
    return result?.kind === 'capture' ? result.tensor.data : new Float32Array(0);
  };
  const whole = await logits([[]]);
  const vocab = whole.length / data.examples;
  const known = Array.from({ length: data.examples }, (_, example) => logSoftmax(row(whole, example, vocab)));
  const together = Math.max(1, Math.floor(HELD_LOGITS / whole.length));
  return async (variants) => {
    const harms = new Float64Array(variants.length);
    for (let start = 0; start < variants.length; start += together) {
      const some = variants.slice(start, start + together);
      const changed = await logits(some);
      some.forEach((_, variant) => {
        const each = known.map((p, example) =>
          divergence(p, logSoftmax(row(changed, variant * data.examples + example, vocab))),
        );
        harms[start + variant] = meanOf(each);
      });
    }
    return harms;
  };
}

function row(data: Floats, index: number, width: number): Floats {
  return data.subarray(index * width, (index + 1) * width);
}

function logSoftmax(logits: Floats): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > largest) largest = value;
  let sum = 0;
  for (const value of logits) sum += exp(value - largest);
  const shift = largest + log(sum);
  return Float64Array.from(logits, (value) => value - shift);
}

/** Σ p (log p − log q); what has no probability under p adds nothing. */
function divergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < p.length; at++) {
    const weight = exp(p[at] as number);
    if (weight > 0) sum += weight * ((p[at] as number) - (q[at] as number));
  }
  return sum;
}
