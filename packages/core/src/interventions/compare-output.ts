import type { Readout } from '@circuitscope/schema';
import { type Run, readoutTensor } from '../plan/index.ts';
import type { AlgorithmInput, CausalProgram, CausalValues } from './causal-program.ts';

/** What the program says at one position: a token, or the number that a token's logit should be. */
export interface Saying {
  readonly at: number;
  readonly token: number;
  /** null where the token should have the largest logit. */
  readonly number: number | null;
}

/** `error`: 1 where the model says another thing; `squared`: (logit − number)²; `cross_entropy`: of the token, in nats. */
export type OutputLoss = 'error' | 'squared' | 'cross_entropy';

/** What the program says wherever it says something. */
export function sayings(program: CausalProgram, values: CausalValues, { tokens, read }: AlgorithmInput): Saying[] {
  const column = values[program.output] ?? [];
  return (read ?? tokens.map((_, at) => at)).flatMap((at): Saying[] => {
    const value = column[at] ?? null;
    if (value === null) return [];
    if (program.numberToken !== undefined) return [{ at, token: program.numberToken, number: Number(value) }];
    const token = program.tokenOf(value);
    return token === null ? [] : [{ at, token, number: null }];
  });
}

/** Reads what {@link lossOf} and {@link agrees} need: one number per position unless the loss needs all logits. */
export function outputReadout(program: CausalProgram, loss: OutputLoss = 'error'): Readout {
  if (loss === 'cross_entropy') return { kind: 'capture', at: { site: 'logits' } };
  if (program.numberToken === undefined) return { kind: 'topK', at: { kind: 'all' }, k: 1 };
  return { kind: 'capture', at: { site: 'logits', unit: [program.numberToken] } };
}

/** Whether the model says the same; numbers may be off by `tolerance`. `row` = variant × batch + example. */
export function agrees(run: Run, row: number, { at, token, number }: Saying, tolerance: number): boolean {
  const result = run.results[0];
  const place = row * run.pos + at;
  if (result?.kind === 'topK') return result.indices.data[place] === token;
  return Math.abs((readoutTensor(run, 0).data[place] ?? Number.NaN) - (number ?? 0)) <= tolerance;
}

/** The mean loss over what the program says; 0 where it says nothing. */
export function lossOf(
  run: Run,
  row: number,
  said: readonly Saying[],
  { loss, tolerance }: { readonly loss: OutputLoss; readonly tolerance: number },
): number {
  let sum = 0;
  for (const saying of said) {
    switch (loss) {
      case 'error':
        sum += agrees(run, row, saying, tolerance) ? 0 : 1;
        break;
      case 'squared':
        sum += ((readoutTensor(run, 0).data[row * run.pos + saying.at] ?? Number.NaN) - (saying.number ?? 0)) ** 2;
        break;
      case 'cross_entropy':
        sum += crossEntropy(run, row * run.pos + saying.at, saying.token);
        break;
    }
  }
  return said.length === 0 ? 0 : sum / said.length;
}

function crossEntropy(run: Run, place: number, token: number): number {
  const { shape, data } = readoutTensor(run, 0);
  const vocab = shape.at(-1) ?? 1;
  const logits = data.subarray(place * vocab, (place + 1) * vocab);
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) top = Math.max(top, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  // Rounded, as JavaScript's exp and log differ between runtimes in the last bit.
  return Math.fround(Math.log(sum) + top - (logits[token] ?? Number.NaN));
}
