import {
  CircuitscopeError,
  type CriterionState,
  type Hypothesis,
  HypothesisOutcome,
  mustParse,
  type Prediction,
  type Task,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import { hashTask } from '../circuits/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { type Measured, meanInterval, ratioInterval, toEstimate, wilson } from '../statistics/index.ts';
import { decide, stateOf } from './hypothesis-check.ts';
import { hashRecord, type LockedHypothesis, seedFromLock, verifyLock } from './hypothesis-ledger.ts';
import {
  INDUCTION_ESTIMATES,
  type InductionEstimate,
  inductionEstimates,
  measureInductionEstimates,
  type Sample,
} from './induction-estimates.ts';
import { drawStimuli } from './induction-stimuli.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

/**
 * Tests a locked hypothesis: recomputes its hash and the ledger, draws the data that its lock stands for, measures, and
 * lets the locked rule decide. The same lock and model give the same outcome, to the byte.
 * @throws CircuitscopeError `tampered_hypothesis`, `broken_ledger`, `unknown_lock`, `wrong_model`, `unknown_analysis`
 */
export async function testHypothesis(
  locked: LockedHypothesis,
  engine: Engine,
  model: Model,
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'> = {},
): Promise<HypothesisOutcome> {
  verifyLock(locked);
  const { hypothesis, lock } = locked;
  const reference = await modelRef(model);
  if (!hypothesis.scope.models.some(({ contentHash }) => contentHash === reference.contentHash)) {
    throw new CircuitscopeError(
      'wrong_model',
      `${hypothesis.name} was locked for other weights than those of ${model.name}; lock one for this model.`,
      { expected: hypothesis.scope.models.map(({ contentHash }) => contentHash).join(), got: reference.contentHash },
    );
  }
  if (hypothesis.analysis.estimates !== INDUCTION_ESTIMATES) {
    throw new CircuitscopeError(
      'unknown_analysis',
      `No table of estimates is called ${hypothesis.analysis.estimates}.`,
      {
        expected: INDUCTION_ESTIMATES,
        got: hypothesis.analysis.estimates,
      },
    );
  }
  const drawn = hypothesis.stimuli
    .filter(({ seed }) => seed.kind === 'from_lock')
    .map((stimuli) => {
      const seed = seedFromLock(lock, stimuli.seed.kind === 'from_lock' ? stimuli.seed.stream : stimuli.id);
      return { stimuli, seed, task: drawStimuli(stimuli, model.spec, seed) };
    });
  // Where the vocabulary is too small to be split prompts can come again; the hypothesis says so in its scope.
  const splits = drawn.every(({ stimuli }) => JSON.stringify(stimuli.parameters).includes('"confirmation"'));
  if (splits)
    requireUnseen(
      explored(hypothesis, model),
      drawn.map(({ task }) => task),
    );
  const taskOf = (id: string): Task => {
    const found = drawn.find(({ stimuli }) => stimuli.id === id);
    if (found) return found.task;
    throw new CircuitscopeError('bad_hypothesis', `${hypothesis.name} plans no data called ${id}.`, { at: id });
  };
  const samples = await measureInductionEstimates(
    engine,
    model,
    { induction: hypothesis.definition.units, previous: patchedBy(hypothesis) },
    { long: taskOf('long'), shuffled: taskOf('shuffled'), exchange: taskOf('exchange') },
    run,
  );
  const judged = [
    ...hypothesis.predictions.map((one) => judge(one, hypothesis, samples, false)),
    ...hypothesis.controlPredictions.map((one) => judge(one, hypothesis, samples, true)),
  ];
  const states = new Map<string, CriterionState>(judged.map(({ criterion: { id, state } }) => [id, state]));
  return mustParse(
    HypothesisOutcome,
    {
      kind: 'hypothesis_outcome',
      version: 1,
      name: hypothesis.name,
      lock,
      hypothesis: hashRecord(hypothesis),
      model: reference,
      data: drawn.map(({ stimuli, seed, task }) => ({
        stimuli: stimuli.id,
        seed,
        hash: hashTask(task),
        n: task.examples.length,
      })),
      criteria: judged.map(({ criterion }) => criterion),
      verdict: decide(hypothesis.decision, states),
      reasons: judged.flatMap(({ reason }) => (reason ? [reason] : [])),
      provenance: {
        tool: 'circuitscope',
        toolVersion: TOOL_VERSION,
        numericsVersion: numericsVersion(engine.executor.info),
        method: 'a locked hypothesis tested on data drawn after the lock',
        parameters: { estimates: hypothesis.analysis.estimates, resamples: hypothesis.analysis.resamples },
        seeds: drawn.map(({ seed }) => seed),
        data: drawn.map(({ stimuli, task }) => ({
          hash: hashTask(task),
          n: task.examples.length,
          how: `${stimuli.generator}, drawn after the lock`,
        })),
      },
    },
    'the outcome of the hypothesis',
  );
}

/** One-sided tests at alpha, simultaneous over the family by Bonferroni: the two-sided interval of level 1 − 2α/m. */
export function levelOf({ alpha, family }: Pick<Prediction, 'alpha' | 'family'>, hypothesis: Hypothesis): number {
  const all = [...hypothesis.predictions, ...hypothesis.controlPredictions];
  const size = hypothesis.analysis.correction === 'none' ? 1 : all.filter((one) => one.family === family).length;
  return 1 - (2 * alpha) / size;
}

export function measureSample(
  sample: Sample,
  options: { level: number; resamples: number; method: 'bca' | 'percentile' },
): Measured {
  const bootstrap = { ...options, seed: 0 };
  switch (sample.kind) {
    case 'mean':
      return meanInterval(sample.values, bootstrap);
    case 'share':
      return wilson(
        sample.values.reduce((sum, value) => sum + value, 0),
        sample.values.length,
        options.level,
      );
    case 'ratio':
      return ratioInterval(sample.numerator, sample.denominator, bootstrap);
  }
}

function judge(prediction: Prediction, hypothesis: Hypothesis, samples: ReadonlyMap<string, Sample>, control: boolean) {
  const { id, estimate, direction, bound } = prediction;
  const sample = samples.get(estimate);
  if (!sample)
    throw new CircuitscopeError('bad_hypothesis', `The estimate ${estimate} of ${id} is not measured.`, { at: id });
  const { interval: method, resamples } = hypothesis.analysis;
  const level = levelOf(prediction, hypothesis);
  const measured = measureSample(sample, { level, resamples, method });
  const ends = measured.interval ?? withoutSpread(estimate, measured, level);
  const state: CriterionState = ends ? stateOf(prediction, ends) : 'open';
  const words = { supported: 'as predicted', refuted: 'against the prediction', open: 'not decided' }[state];
  const range = ends ? ` [${ends[0].toFixed(3)}, ${ends[1].toFixed(3)}]` : ` (${measured.degenerate})`;
  return {
    criterion: {
      id,
      estimate,
      measured: { ...toEstimate(measured), ...(ends ? { interval: ends } : {}) },
      level,
      direction,
      bound,
      state,
      control,
    },
    reason: `${id}: ${measured.value.toFixed(3)}${range}, ${direction === 'at_least' ? 'at least' : 'at most'} ${bound}: ${words}`,
  };
}

/**
 * Prompts that all give the same number have no bootstrap interval. Where the estimate is bounded, Hoeffding's inequality
 * gives one whatever the distribution; where it is not, nothing is known and the criterion stays open.
 */
function withoutSpread(estimate: string, { value, n }: Measured, level: number): readonly [number, number] | null {
  const [low, high] = inductionEstimates[estimate as InductionEstimate].range;
  if (!Number.isFinite(high - low)) return null;
  // Rounded to float32, as runtimes differ in the last bits of a logarithm.
  const reach = (high - low) * Math.sqrt(Math.fround(Math.log(2 / (1 - level))) / (2 * n));
  return [Math.max(low, value - reach), Math.min(high, value + reach)];
}

/** The units that the planned patch writes: a hypothesis about induction names its previous-token heads there. */
function patchedBy({ interventions }: Hypothesis) {
  return interventions.filter(({ by }) => by === 'patch').flatMap(({ target }) => target);
}

/** The prompts that were looked at before the lock, drawn again. */
function explored({ stimuli }: Hypothesis, model: Model): readonly Task[] {
  return stimuli.flatMap((one) => (one.seed.kind === 'explore' ? [drawStimuli(one, model.spec, one.seed.seed)] : []));
}

/** No confirmation prompt may have been looked at before. @throws CircuitscopeError `seen_data` */
export function requireUnseen(explored: readonly Task[], drawn: readonly Task[]): void {
  const seen = new Set(explored.flatMap(({ examples }) => examples.map(({ clean }) => clean.join())));
  for (const { name, examples } of drawn) {
    const again = examples.findIndex(({ clean }) => seen.has(clean.join()));
    if (again < 0) continue;
    throw new CircuitscopeError(
      'seen_data',
      `Prompt ${again} of the confirmation data ${name} was explored before the lock; hold its tokens back or lock other data.`,
      { at: `${name}[${again}]` },
    );
  }
}
