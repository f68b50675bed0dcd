import type { Tensor } from '../../tensor/index.ts';
import type { ConformanceCase } from '../conformance.ts';
import { vocabRows } from './bounds.ts';
import { buildCase, floats, ints, randomInts } from './build-case.ts';

const { NaN: nan, POSITIVE_INFINITY: infinity, NEGATIVE_INFINITY: hidden } = Number;

const bound = {
  allowed: vocabRows,
  because: 'u·(100 + 4s(1 + s)), s = Σp|l − max|; the divergence with both rows\u2019 and 100u·Σq|log q/p|',
};

/** Quarters: products of few of them are exact, and ties are common. */
function quarters(name: string, shape: readonly number[]): Tensor {
  const whole = randomInts(`vocabulary/${name}`, shape, 17);
  return floats(
    shape,
    Array.from(whole.data, (value) => (value - 8) / 4),
  );
}

interface Known {
  readonly logits: readonly number[];
  readonly id?: number;
  /** Logits of the reference row. */
  readonly against?: readonly number[];
  readonly k?: number;
  readonly expect: readonly (readonly number[])[];
}

/** One row whose logits stand in W: x picks its first row, the reference its second. */
function known(fact: string, { logits, id = -100, against, k = 0, expect }: Known): ConformanceCase {
  const second = against ?? logits.map(() => 0);
  // A weight that is no number would reach the other row through its zero.
  const W = against ? floats([2, logits.length], [...logits, ...second]) : floats([1, logits.length], logits);
  return buildCase('vocab_statistics', fact, {
    inputs: [
      floats([1, W.shape[0] ?? 1], against ? [1, 0] : [1]),
      ints([1], [id]),
      against ? floats([1, 2], [0, 1]) : null,
    ],
    params: [W, null],
    attrs: { k },
    out: [
      [1, 5],
      [1, k],
      [1, k],
    ],
    bound,
    expect,
  });
}

const ln = Math.log;
const e = Math.E;

export const vocabularyCases: readonly ConformanceCase[] = [
  ...[1, 2, 7, 33, 65, 1023, 1024, 1025, 2100].map((vocabulary) =>
    buildCase('vocab_statistics', `${vocabulary} tokens`, {
      inputs: [
        quarters(`x/${vocabulary}`, [2, 3, 9]),
        randomInts(`vocabulary/ids/${vocabulary}`, [2, 3], vocabulary),
        quarters(`reference/${vocabulary}`, [3, 9]),
      ],
      params: [quarters(`W/${vocabulary}`, [9, vocabulary]), quarters(`b/${vocabulary}`, [vocabulary])],
      attrs: { k: 4 },
      out: [
        [2, 3, 5],
        [2, 3, 4],
        [2, 3, 4],
      ],
      bound,
    }),
  ),
  ...[0, 1, 31, 33, 70].map((rows) =>
    buildCase('vocab_statistics', `${rows} rows under a cap`, {
      inputs: [quarters(`rows/${rows}`, [rows, 5]), null, quarters('rows/reference', [1, 5])],
      params: [quarters('rows/W', [5, 40]), null],
      attrs: { k: 1, cap: 30 },
      out: [[rows, 5], [rows, 1], null],
      bound,
    }),
  ),
  known('equal logits are as uncertain as can be; the rank goes by id', {
    logits: [3, 3, 3, 3],
    id: 2,
    k: 2,
    expect: [
      [3 + ln(4), ln(4), -ln(4), 2, nan],
      [3, 3],
      [0, 1],
    ],
  }),
  known('certainty has no entropy, a token far off its distance', {
    logits: [200, -200],
    id: 1,
    expect: [[200, 0, -400, 1, nan], [], []],
  }),
  known('e to one, against one to one', {
    logits: [1, 0],
    against: [0, 0],
    id: 1,
    expect: [[ln(1 + e), ln(1 + e) - e / (1 + e), -ln(1 + e), 1, ln(1 + e) - 0.5 - ln(2)], [], []],
  }),
  known('a token with logit −∞ is hidden and reads nothing', {
    logits: [hidden, 1, hidden],
    id: 0,
    expect: [[1, 0, hidden, 1, nan], [], []],
  }),
  known('what the reference says and this row rules out diverges without end', {
    logits: [-(2 ** 127), 0],
    against: [3, 0],
    expect: [[0, 0, nan, nan, 2 ** 127 / (1 + Math.exp(-3))], [], []],
  }),
  known('−∞ alone is no distribution', {
    logits: [hidden, hidden],
    id: 1,
    expect: [[hidden, nan, nan, 1, nan], [], []],
  }),
  known('+∞ and NaN are no numbers to compare with, but have their rank', {
    logits: [1, infinity, nan],
    id: 1,
    k: 3,
    expect: [
      [nan, nan, nan, 1, nan],
      [nan, infinity, 1],
      [2, 1, 0],
    ],
  }),
  known('what nobody asked for is NaN', { logits: [0, 0], expect: [[ln(2), ln(2), nan, nan, nan], [], []] }),
  ...[-1, 2].map((id) =>
    buildCase('vocab_statistics', `the id ${id} of a vocabulary of 2 is an error`, {
      inputs: [floats([1, 1], [0]), ints([1], [id]), null],
      params: [floats([1, 2], [1, 2]), null],
      attrs: { k: 0 },
      out: [[1, 5], null, null],
      bound,
      fails: 'out_of_range',
    }),
  ),
];
