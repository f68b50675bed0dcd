import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import { type Prompt, type Run, readoutTensor, resolvePositions } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';

/** One number from what a readout holds for one example. */
export type ExampleMetric = (values: Floats, example: number) => number;

/**
 * A readout as one number per example, [variant][example]. Without a metric of one's own: the mean logit difference over
 * its positions, or the mean loss over the tokens that it counts (a loss holds 0 at all others).
 * @throws CircuitscopeError `bad_readout` for other readouts without a metric, and for losses that count no token
 */
export function perExample(run: Run, index: number, prompt: Prompt, metric?: ExampleMetric): readonly Float64Array[] {
  const { data } = readoutTensor(run, index);
  const width = data.length / ((run.variants ?? 1) * run.batch);
  const of = metric ?? metricOf(run, index, prompt, width);
  return Array.from({ length: run.variants ?? 1 }, (_, variant) =>
    Float64Array.from({ length: run.batch }, (__, example) => {
      const from = (variant * run.batch + example) * width;
      return of(data.subarray(from, from + width), example);
    }),
  );
}

function metricOf(run: Run, index: number, prompt: Prompt, width: number): ExampleMetric {
  const readout = run.readouts[index];
  switch (readout?.kind) {
    case 'logitDiff':
      return (values) => sumOf(values) / width;
    case 'loss': {
      const counts = Array.from({ length: run.batch }, (_, example) =>
        countedTokens(readout.at ?? { kind: 'all' }, prompt, example, run.pos),
      );
      const empty = counts.indexOf(0);
      if (empty >= 0)
        throw new CircuitscopeError(
          'bad_readout',
          `The loss of example ${empty} counts no token: none of its positions has a next token.`,
          { at: `example ${empty}` },
        );
      return (values, example) => (width === 1 ? (values[0] as number) : sumOf(values) / (counts[example] as number));
    }
    default:
      throw new CircuitscopeError(
        'bad_readout',
        `A ${readout?.kind ?? 'missing'} readout is no single number per example; read a logit difference or a loss, or give a metric.`,
        { at: String(index) },
      );
  }
}

/** Positions that have a next token, both real. */
function countedTokens(at: Pos, prompt: Prompt, example: number, pos: number): number {
  const context = { prompt, batch: prompt.tokens.length, pos, variants: [0], runs: new Map(), artefacts: new Map() };
  const mask = prompt.mask?.[example];
  return new Set(
    resolvePositions(at, example, context).filter(
      (position) => position + 1 < pos && mask?.[position] !== 0 && mask?.[position + 1] !== 0,
    ),
  ).size;
}

function sumOf(values: Floats): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] as number;
  return sum;
}
