import { type Alignment, CircuitscopeError } from '@circuitscope/schema';
import type { Engine } from '../plan/index.ts';
import { type Measured, meanInterval, ratioInterval } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';
import { checkAlignment, partOf } from './aligned-part.ts';
import type { AlgorithmInput, CausalProgram } from './causal-program.ts';
import { lossOf, type OutputLoss, outputReadout } from './compare-output.ts';
import type { AlgorithmRun } from './interchange.ts';
import { batchesOf, promptPool } from './prompt-pool.ts';
import { placedParents, runPlain, Scrubber } from './scrubber.ts';
import { type WrongAlignment, wrongAlignments } from './wrong-alignments.ts';

// Causal scrubbing (Chan et al. 2022): whatever a hypothesis says does not matter is taken from other prompts, all the way
// down. A node is a variable with all its positions; the interpretation graph is the program, read backwards from the logits.

export interface ScrubOptions {
  readonly program: CausalProgram;
  readonly alignment: Alignment;
  /** What is resampled from. Prompts agree only with prompts of their length, position by position. */
  readonly inputs: readonly AlgorithmInput[];
  /** Scrubbed prompts; 128 if left out. */
  readonly examples?: number;
  /** `squared` where the output is a number, else `error`, if left out. */
  readonly loss?: OutputLoss;
  readonly tolerance?: number;
  /** Wrong alignments of each kind, every variable wrong at once; 2 if left out. */
  readonly nulls?: number;
  /** Prompts at once; 64 if left out. Memory: one site per parent along the deepest branch, times this. */
  readonly batch?: number;
  readonly seed: number;
  readonly run?: AlgorithmRun;
}

export interface ScrubScore {
  /** Mean loss of the scrubbed model, by the program's output on the prompt that was to be kept. */
  readonly scrubbed: Measured;
  /** (L_scrub − L_rand) / (L_model − L_rand); null where the model is no better than chance. */
  readonly recovered: Measured | null;
}

export interface ScrubNode {
  readonly variable: string;
  /** The variables that it is computed from: parents, or the parents of those that have no place. */
  readonly parents: readonly string[];
  /** Mean number of other prompts that agree on its value. Near 0 nothing was resampled there. */
  readonly alternatives: number;
}

export interface Scrubbing extends ScrubScore {
  readonly loss: OutputLoss;
  readonly examples: number;
  readonly model: Measured;
  /** On a random prompt of the same length, by the program's output on the one that was to be kept. */
  readonly random: Measured;
  readonly nodes: readonly ScrubNode[];
  /** Prompts that were run for the true alignment, leaves counted once. */
  readonly prompts: number;
  readonly nulls: readonly (ScrubScore & Pick<WrongAlignment, 'kind' | 'label'>)[];
}

/**
 * How much of what the model does is left when each variable is computed from other prompts which agree on its parents.
 * Intervals are BCa over prompts.
 * @throws CircuitscopeError `bad_alignment` where the output has no place, `bad_option` for a loss that it cannot have, `too_few_examples`
 */
export async function scrubAlgorithm(engine: Engine, options: ScrubOptions): Promise<Scrubbing> {
  const { program, alignment, inputs, examples = 128, nulls = 2, seed, tolerance = 0.01, run } = options;
  checkAlignment(engine.graph, program, alignment);
  partOf(alignment, program.output);
  const loss = options.loss ?? (program.numberToken === undefined ? 'error' : 'squared');
  if (loss === 'squared' && program.numberToken === undefined)
    throw new CircuitscopeError(
      'bad_option',
      `The output ${program.output} is no number, so it has no squared loss; choose error or cross_entropy.`,
      { at: 'loss', expected: 'error or cross_entropy', got: loss },
    );
  if (loss === 'cross_entropy' && program.numberToken !== undefined)
    throw new CircuitscopeError(
      'bad_option',
      `The output ${program.output} is a number, not a token, so it has no cross entropy; choose squared or error.`,
      { at: 'loss', expected: 'squared or error', got: loss },
    );
  const pool = promptPool(program, inputs);
  const rng = new Rng(seed, 'interventions.scrub');
  const references = Array.from({ length: examples }, () => rng.choice(pool.readable));
  const judge = { loss, tolerance };

  const clean = new Float64Array(examples);
  const random = new Float64Array(examples);
  const wrong =
    nulls > 0 ? wrongAlignments(engine.graph, alignment, Object.keys(alignment), { each: nulls, seed }) : [];
  const losses = [alignment, ...wrong.map((one) => one.alignment)].map(() => new Float64Array(examples));
  let prompts = 0;
  const batches = batchesOf(references, pool, options.batch ?? 64);
  for (const [index, members] of batches.entries()) {
    const refs = members.map((example) => references[example] ?? 0);
    const other = refs.map((ref) => rng.choice(pool.sameLength(ref)));
    for (const [into, from] of [
      [clean, refs],
      [random, other],
    ] as const) {
      const read = await runPlain(engine, pool, from, { readouts: [outputReadout(program, loss)] }, run);
      members.forEach((example, row) => {
        into[example] = lossOf(read, row, pool.said(refs[row] ?? 0), judge);
      });
    }
    for (const [which, tried] of [alignment, ...wrong.map((one) => one.alignment)].entries()) {
      // Each alignment has a stream of its own, so that one more null moves no other.
      const scrubber = new Scrubber(engine, program, tried, pool, rng.child(`${which}/${index}`), run);
      const read = await scrubber.logits(refs, loss);
      if (which === 0) prompts += scrubber.prompts;
      const into = losses[which];
      members.forEach((example, row) => {
        if (into) into[example] = lossOf(read, row, pool.said(refs[row] ?? 0), judge);
      });
    }
    run?.onProgress?.((index + 1) / batches.length);
  }

  const scoreOf = (values: Float64Array): ScrubScore => ({
    scrubbed: meanInterval(values, { seed }),
    recovered: recoveredOf(values, clean, random, seed),
  });
  return {
    loss,
    examples,
    ...scoreOf(losses[0] ?? new Float64Array(0)),
    model: meanInterval(clean, { seed }),
    random: meanInterval(random, { seed }),
    nodes: program.variables
      .filter(({ name }) => Object.hasOwn(alignment, name))
      .map(({ name }) => ({
        variable: name,
        parents: placedParents(program, alignment, name),
        alternatives: pool.alternatives(name, references),
      })),
    prompts,
    nulls: wrong.map(({ kind, label }, at) => ({ kind, label, ...scoreOf(losses[at + 1] ?? new Float64Array(0)) })),
  };
}

function recoveredOf(scrubbed: Float64Array, clean: Float64Array, random: Float64Array, seed: number): Measured | null {
  const gained = scrubbed.map((value, at) => value - (random[at] ?? 0));
  const whole = clean.map((value, at) => value - (random[at] ?? 0));
  if (whole.reduce((sum, value) => sum + value, 0) >= 0) return null;
  // A sample in which the model is as bad as chance has no ratio; percentiles are of those that have one.
  return ratioInterval(gained, whole, { seed, method: 'percentile' });
}
