import {
  CircuitscopeError,
  type Condition,
  type CriterionState,
  type Hypothesis,
  type Prediction,
  parseHypothesis,
} from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { checkHypothesis, decide, type EstimateRange, stateOf } from './hypothesis-check.ts';
import {
  hashRecord,
  lockHypothesis,
  recordDeviation,
  reviseHypothesis,
  seedFromLock,
  verifyLedger,
  verifyLock,
} from './hypothesis-ledger.ts';
import { drawStimuli, inductionDesign, tokensOf } from './induction-stimuli.ts';
import { levelOf, measureSample, requireUnseen } from './test-hypothesis.ts';

const AT = '2026-01-01T00:00:00.000Z';
const ranges = new Map<string, EstimateRange>([
  ['share', [0, 1]],
  ['other', [0, 1]],
  ['free', [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]],
]);

const prediction = (id: string, rest: Partial<Prediction> = {}): Prediction => ({
  id,
  what: 'a number is large',
  estimate: 'share',
  contrast: 'it against nothing',
  direction: 'at_least',
  bound: 0.5,
  reason: 'half',
  alpha: 0.05,
  family: 'claim',
  ...rest,
});
const is = (criterion: string, state: CriterionState): Condition => ({ kind: 'is', criterion, state });
const hypothesis = (rest: Partial<Hypothesis> = {}): Hypothesis => ({
  kind: 'hypothesis',
  version: 1,
  name: 'test',
  revision: 1,
  claim: 'it is large',
  claimKind: 'feature',
  scope: { models: [], data: 'none' },
  definition: {
    what: 'it',
    units: [],
    sites: [],
    condition: 'none',
    chosenOn: [],
    unitOfAnalysis: 'prompt',
    exclusions: 'none',
  },
  predictions: [prediction('a'), prediction('b', { estimate: 'other' })],
  alternatives: [{ id: 'small', claim: 'it is small', separatedBy: ['a'] }],
  interventions: [],
  controls: [{ kind: 'negative', what: 'nothing', criterion: 'c' }],
  controlPredictions: [prediction('c', { estimate: 'free', direction: 'at_most', family: 'controls' })],
  stimuli: [{ id: 's', generator: 'g', parameters: {}, examples: 8, seed: { kind: 'from_lock', stream: 's' } }],
  analysis: {
    estimates: 'x',
    interval: 'bca',
    resamples: 10,
    correction: 'bonferroni',
    cluster: 'none',
    rng: 'philox',
    missing: 'refuse',
  },
  decision: {
    invalidIf: is('c', 'refuted'),
    falsifiedIf: { kind: 'any', of: [is('a', 'refuted'), is('b', 'refuted')] },
    corroboratedIf: { kind: 'all', of: [is('a', 'supported'), is('b', 'supported')] },
  },
  ...rest,
});
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
};
const refusal = (rest: Partial<Hypothesis>) => codeOf(() => checkHypothesis(hypothesis(rest), ranges));
const deciding = (rest: Partial<Hypothesis['decision']>) =>
  refusal({ decision: { ...hypothesis().decision, ...rest } });

test('a state is what the whole interval says', () => {
  const at = (direction: Prediction['direction'], low: number, high: number) =>
    stateOf({ direction, bound: 0.5 }, [low, high]);
  expect([
    at('at_least', 0.5, 0.9),
    at('at_least', 0.4, 0.6),
    at('at_least', 0.1, 0.49),
    at('at_least', 0.1, 0.5),
  ]).toEqual(['supported', 'open', 'refuted', 'open']);
  expect([at('at_most', 0.1, 0.5), at('at_most', 0.4, 0.6), at('at_most', 0.51, 0.9), at('at_most', 0.5, 0.9)]).toEqual(
    ['supported', 'open', 'refuted', 'open'],
  );
});

test.each([
  ['supported', 'supported', 'supported', 'corroborated'],
  ['supported', 'open', 'supported', 'inconclusive'],
  ['refuted', 'supported', 'supported', 'falsified'],
  ['refuted', 'supported', 'open', 'falsified'],
  ['open', 'open', 'open', 'inconclusive'],
  ['supported', 'supported', 'refuted', 'invalid'],
  ['refuted', 'refuted', 'refuted', 'invalid'],
] as const)('with a %s, b %s and the control %s it is decided: %s', (a, b, c, verdict) => {
  expect(
    decide(
      hypothesis().decision,
      new Map([
        ['a', a],
        ['b', b],
        ['c', c],
      ]),
    ),
  ).toBe(verdict);
});

describe('what is no test cannot be locked:', () => {
  test('a sound one can', () => {
    expect(refusal({})).toBe('nothing was thrown');
    expect(parseHypothesis(hypothesis())).toMatchObject({ ok: true });
  });

  test('a decision that nothing falsifies', () => {
    const never: Condition = { kind: 'all', of: [is('a', 'refuted'), is('a', 'supported'), is('b', 'refuted')] };
    expect(deciding({ falsifiedIf: never })).toBe('unfalsifiable');
    expect(deciding({ falsifiedIf: { kind: 'any', of: [] } })).toBe('unfalsifiable');
    // Only an invalid test could falsify it.
    expect(deciding({ falsifiedIf: is('c', 'refuted') })).toBe('unfalsifiable');
  });

  test('a bound that the estimate cannot miss', () => {
    const predictions = [prediction('a', { bound: 0 }), prediction('b', { estimate: 'other', bound: -1 })];
    expect(refusal({ predictions })).toBe('unfalsifiable');
    expect(refusal({ predictions: [prediction('a', { bound: 1.5 }), prediction('b', { estimate: 'other' })] })).toBe(
      'unsupportable',
    );
  });

  test('a decision that one measurement meets both ways', () => {
    expect(deciding({ corroboratedIf: is('a', 'supported') })).toBe('overlapping_decision');
    expect(deciding({ corroboratedIf: { kind: 'not', of: is('a', 'refuted') } })).toBe('overlapping_decision');
  });

  test('two predictions of one estimate share its interval, so what they cannot both say is no overlap', () => {
    const predictions = [prediction('a', { bound: 0.6 }), prediction('b', { bound: 0.3 })];
    // b refuted means below 0.3, which rules a out.
    const decision = {
      falsifiedIf: is('b', 'refuted'),
      corroboratedIf: is('a', 'supported'),
      invalidIf: is('c', 'refuted'),
    };
    expect(refusal({ predictions, decision })).toBe('nothing was thrown');
    const apart = [prediction('a', { bound: 0.6 }), prediction('b', { estimate: 'other', bound: 0.3 })];
    expect(refusal({ predictions: apart, decision })).toBe('overlapping_decision');
  });

  test('ids that lead nowhere, controls without consequence, no data after the lock', () => {
    expect(refusal({ predictions: [prediction('a'), prediction('a')] })).toBe('bad_hypothesis');
    expect(refusal({ predictions: [prediction('a'), prediction('b', { estimate: 'unknown' })] })).toBe(
      'bad_hypothesis',
    );
    expect(refusal({ predictions: [prediction('a'), prediction('b'), prediction('d')] })).toBe('bad_hypothesis');
    expect(deciding({ falsifiedIf: is('z', 'refuted') })).toBe('bad_hypothesis');
    expect(refusal({ alternatives: [{ id: 'r', claim: 'r', separatedBy: ['z'] }] })).toBe('bad_hypothesis');
    expect(refusal({ controls: [{ kind: 'sham', what: 'x', criterion: 'a' }] })).toBe('bad_hypothesis');
    const stimuli = [
      { id: 's', generator: 'g', parameters: {}, examples: 8, seed: { kind: 'explore' as const, seed: 1 } },
    ];
    expect(refusal({ stimuli })).toBe('bad_hypothesis');
    expect(parseHypothesis({ ...hypothesis(), alternatives: [] })).toMatchObject({ ok: false });
    expect(parseHypothesis({ ...hypothesis(), controls: [] })).toMatchObject({ ok: false });
  });
});

describe('a lock', () => {
  const lock = (rest: Partial<Hypothesis> = {}, at = AT) => lockHypothesis(hypothesis(rest), { at, ranges });

  test('is the same for the same hypothesis, time and ledger, and another for anything else', () => {
    const locks = [lock(), lock(), lock({ claim: 'it is larger' }), lock({}, '2026-01-01T00:00:00.001Z')].map(
      (one) => one.lock,
    );
    expect(locks[0]).toBe(locks[1]);
    expect(new Set(locks).size).toBe(3);
    const later = lockHypothesis(hypothesis(), { at: AT, ledger: lock().ledger, ranges });
    expect(later.lock).not.toBe(locks[0]);
    expect(later.ledger[1]?.previous).toBe(locks[0]);
  });

  test('gives seeds of data that no one could know before, one for each stream', () => {
    const [one, two] = [lock().lock, lock({ claim: 'other' }).lock];
    const seeds = [seedFromLock(one, 'a'), seedFromLock(one, 'b'), seedFromLock(two, 'a')];
    expect(new Set(seeds).size).toBe(3);
    for (const seed of seeds) expect(Number.isSafeInteger(seed)).toBe(true);
    expect(seedFromLock(one, 'a')).toBe(seeds[0]);
  });

  test.each([
    [
      'a bound',
      (locked: Hypothesis) => ({
        ...locked,
        predictions: [prediction('a', { bound: 0.1 }), locked.predictions[1] as Prediction],
      }),
    ],
    [
      'alpha',
      (locked: Hypothesis) => ({ ...locked, predictions: locked.predictions.map((one) => ({ ...one, alpha: 0.2 })) }),
    ],
    [
      'the decision',
      (locked: Hypothesis) => ({ ...locked, decision: { ...locked.decision, falsifiedIf: is('a', 'refuted') } }),
    ],
    [
      'the number of prompts',
      (locked: Hypothesis) => ({ ...locked, stimuli: locked.stimuli.map((one) => ({ ...one, examples: 9 })) }),
    ],
    [
      'the control',
      (locked: Hypothesis) => ({ ...locked, controls: [{ kind: 'sham' as const, what: 'less', criterion: 'c' }] }),
    ],
  ])('shows that %s was changed after it', (_, change) => {
    const locked = lock();
    expect(verifyLock(locked)).toEqual(locked.ledger[0]);
    expect(codeOf(() => verifyLock({ ...locked, hypothesis: change(locked.hypothesis) }))).toBe('tampered_hypothesis');
  });

  test('cannot be made up, nor its ledger be cut in the middle, turned round or dated back', () => {
    const first = lock();
    const second = lockHypothesis(hypothesis({ claim: 'second' }), { at: AT, ledger: first.ledger, ranges });
    const third = lockHypothesis(hypothesis({ claim: 'third' }), { at: AT, ledger: second.ledger, ranges });
    const [a, b, c] = third.ledger;
    if (!a || !b || !c) throw new Error('three entries');
    for (const ledger of [
      [a, c],
      [b, c],
      [b, a, c],
      [a, { ...b, at: '2026-02-01T00:00:00.000Z' }, c],
      [{ ...a, tool: 'x' }, b, c],
    ])
      expect(codeOf(() => verifyLedger(ledger))).toBe('broken_ledger');
    expect(codeOf(() => verifyLock({ ...third, lock: hashRecord({}) }))).toBe('unknown_lock');
    expect(
      codeOf(() => lockHypothesis(hypothesis(), { at: '2025-01-01T00:00:00.000Z', ledger: third.ledger, ranges })),
    ).toBe('broken_ledger');
    const deviated = recordDeviation(third.ledger, third.lock, 'two prompts less', 'memory', AT);
    expect(verifyLedger(deviated)).toHaveLength(4);
  });

  test('is revised under its own name, by something that differs and is locked again', () => {
    const locked = lock();
    const revised = reviseHypothesis(locked, { claim: 'it is larger' });
    expect(revised).toMatchObject({ revision: 2, parent: locked.lock, claim: 'it is larger' });
    expect(codeOf(() => reviseHypothesis(locked, { claim: 'it is large' }))).toBe('unchanged');
    expect(codeOf(() => lockHypothesis(revised, { at: AT, ranges }))).toBe('unknown_parent');
    expect(lockHypothesis(revised, { at: AT, ledger: locked.ledger, ranges }).ledger).toHaveLength(2);
  });
});

describe('intervals of a family', () => {
  test('are simultaneous: alpha is shared by its members, on one side each', () => {
    expect(levelOf(prediction('a'), hypothesis())).toBeCloseTo(1 - 0.1 / 2, 12);
    expect(levelOf(prediction('c', { family: 'controls' }), hypothesis())).toBeCloseTo(0.9, 12);
  });

  test('of shares are Wilson’s, of ratios are of ratios of means', () => {
    const options = { level: 0.95, resamples: 200, method: 'bca' as const };
    expect(measureSample({ kind: 'share', values: Float64Array.of(1, 1, 0, 1) }, options)).toMatchObject({
      value: 0.75,
      method: 'wilson',
    });
    const ratio = {
      kind: 'ratio' as const,
      numerator: Float64Array.of(1, 2, 3),
      denominator: Float64Array.of(1, 4, 5),
    };
    expect(measureSample(ratio, options).value).toBeCloseTo(0.6, 12);
  });
});

describe('induction stimuli', () => {
  const size = { vocab: 120, context: 64 };
  const { explore, confirm } = inductionDesign(size, 0, 5);

  test('are longer and of other tokens after the lock than before it', () => {
    expect(confirm.half).toBeGreaterThan(explore.half);
    const [before, after] = [tokensOf(120, explore), tokensOf(120, confirm)];
    expect(before.filter((id) => after.includes(id))).toEqual([]);
    expect([...before, ...after].sort((a, b) => a - b)).toEqual(Array.from({ length: 119 }, (_, at) => at + 1));
  });

  test('an exchange swaps two tokens and nothing else, and the question stays', () => {
    const parameters = { ...confirm };
    const task = drawStimuli({ generator: 'induction/exchange', parameters, examples: 50 }, size, 9);
    for (const { clean, corrupt, answer, wrongAnswer, positions = {} } of task.examples) {
      const { TARGET = 0, SWAPPED = 0, END = 0, ELSEWHERE_1 = 0, ELSEWHERE_2 = 0 } = positions;
      const differing = clean.flatMap((id, at) => (id === corrupt[at] ? [] : [at]));
      expect(differing.sort((a, b) => a - b)).toEqual([TARGET - 1, SWAPPED - 1].sort((a, b) => a - b));
      expect([clean[TARGET], clean[SWAPPED]]).toEqual([answer, wrongAnswer]);
      expect(clean[END]).toBe(clean[TARGET - 1]);
      expect(corrupt[END]).toBe(corrupt[SWAPPED - 1]);
      expect(new Set([TARGET, SWAPPED, ELSEWHERE_1, ELSEWHERE_2]).size).toBe(4);
    }
  });

  test('that were looked at before are refused as confirmation', () => {
    const draw = (seed: number) =>
      drawStimuli({ generator: 'induction/long', parameters: { ...confirm }, examples: 4 }, size, seed);
    expect(codeOf(() => requireUnseen([draw(1)], [draw(2)]))).toBe('nothing was thrown');
    expect(codeOf(() => requireUnseen([draw(1), draw(2)], [draw(3), draw(2)]))).toBe('seen_data');
  });

  test('of a model too small for them, and of no known kind, are refused', () => {
    expect(codeOf(() => inductionDesign({ vocab: 8, context: 24 }, 0, 1))).toBe('too_few');
    expect(codeOf(() => drawStimuli({ generator: 'x', parameters: { ...confirm }, examples: 2 }, size, 1))).toBe(
      'unknown_generator',
    );
    expect(codeOf(() => drawStimuli({ generator: 'induction/long', parameters: {}, examples: 2 }, size, 1))).toBe(
      'bad_parameters',
    );
  });
});
