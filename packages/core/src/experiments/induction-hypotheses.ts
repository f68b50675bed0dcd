import {
  CircuitscopeError,
  type Condition,
  type Hypothesis,
  type ModelRef,
  type Prediction,
  type Stimuli,
  type UnitRef,
  unitLabel,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import { scoreHeads } from '../features/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { INDUCTION_ESTIMATES, type InductionHeads, measureInductionEstimates } from './induction-estimates.ts';
import { ATTENDS, controlPredictionsOf, type Explored, predictionsOf } from './induction-predictions.ts';
import {
  drawStimuli,
  type InductionParameters,
  inductionDesign,
  inductionGenerators,
  tokensOf,
} from './induction-stimuli.ts';

export interface InductionHypothesesOptions {
  /** First token of every prompt; null for models without one. */
  readonly bos: number | null;
  /** Of exploration: the heads are chosen and the bounds set on its data. */
  readonly seed: number;
  /** Prompts of each kind on exploration and on confirmation data; 64 if left out. */
  readonly examples?: number;
  /** Text that says where the model can be opened again. */
  readonly source?: string;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

export interface InductionHypotheses {
  /** The heads match the current token with what stood before a key, and read the key's own token. */
  readonly claim: Hypothesis;
  /** The same heads look a fixed distance back; which tokens stand there does not matter. Judged by the same rule. */
  readonly rival: Hypothesis;
  readonly heads: InductionHeads;
}

/**
 * Looks at a model on exploration data and writes down, for confirmation data that do not exist yet, what follows if its
 * induction heads are what they seem, and what follows if they go by position. Repeats are longer and of tokens that
 * exploration never drew, where context and vocabulary allow; whether training saw them, the model's own notes say.
 * @throws CircuitscopeError `no_induction_heads`
 */
export async function inductionHypotheses(
  engine: Engine,
  model: Model,
  { bos, seed, examples = 64, source, run = {} }: InductionHypothesesOptions,
): Promise<InductionHypotheses> {
  const { explore, confirm } = inductionDesign(model.spec, bos, seed);
  const heads = await findHeads(engine, model, explore, seed, run);
  const stimuli = stimuliOf(explore, confirm, examples, seed);
  const explored = (id: string) => {
    const found = stimuli.find((one) => one.id === `explore-${id}`) as Stimuli;
    return drawStimuli(found, model.spec, seed);
  };
  const pilot = await measureInductionEstimates(
    engine,
    model,
    heads,
    { long: explored('long'), shuffled: explored('shuffled'), exchange: explored('exchange') },
    run,
  );
  const reference = { ...(await modelRef(model)), ...(source ? { source } : {}) };
  const shared = { reference, heads, stimuli, pilot, examples, unseen: confirm.part === 'confirmation' };
  return { claim: claimOf(shared), rival: rivalOf(shared), heads };
}

async function findHeads(
  engine: Engine,
  model: Model,
  explore: InductionParameters,
  seed: number,
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'>,
): Promise<InductionHeads> {
  const tokens = tokensOf(model.spec.vocab, explore);
  const scores = await scoreHeads(engine, model.spec, {
    seed,
    bos: explore.bos,
    tokens,
    half: explore.half,
    resamples: 100,
    run,
  });
  const induction = scores.filter(({ layer, induction: score }) => layer > 0 && score.value >= ATTENDS);
  const first = Math.min(...induction.map(({ layer }) => layer));
  const previous = scores.filter(({ layer, previousToken }) => layer < first && previousToken.value >= ATTENDS);
  if (induction.length === 0 || previous.length === 0) {
    throw new CircuitscopeError(
      'no_induction_heads',
      `${model.name} has ${induction.length} heads that attend as induction heads and ${previous.length} previous-token heads before them, by at least ${ATTENDS} of their attention; there is no claim to make about them.`,
      { expected: 'at least one of each', got: `${induction.length} and ${previous.length}` },
    );
  }
  const unit = ({ layer, head }: { readonly layer: number; readonly head: number }): UnitRef => ({
    kind: 'head',
    layer,
    head,
  });
  return { induction: induction.map(unit), previous: previous.map(unit) };
}

interface Shared extends Explored {
  readonly reference: ModelRef;
  readonly heads: InductionHeads;
  readonly stimuli: readonly Stimuli[];
  readonly unseen: boolean;
}

function stimuliOf(
  explore: InductionParameters,
  confirm: InductionParameters,
  examples: number,
  seed: number,
): readonly Stimuli[] {
  return inductionGenerators.flatMap((generator): Stimuli[] => {
    const id = generator.slice('induction/'.length);
    return [
      { id: `explore-${id}`, generator, parameters: { ...explore }, examples, seed: { kind: 'explore', seed } },
      { id, generator, parameters: { ...confirm }, examples, seed: { kind: 'from_lock', stream: id } },
    ];
  });
}

function claimOf(shared: Shared): Hypothesis {
  const names = shared.heads.induction.map(unitLabel).join(', ');
  return record(shared, 'claim', 'induction-by-token', {
    claim: `The heads ${names} are induction heads: they look for keys before which the current token stood, as the previous-token heads wrote it there, and copy the key’s own token to the logits.`,
    alternatives: [
      {
        id: 'fixed-offset',
        claim: 'The same heads look a fixed distance back, wherever the repeat is regular, and know nothing of tokens.',
        separatedBy: ['attends_by_token', 'attention_follows_patch', 'answer_follows_patch'],
      },
      {
        id: 'direct-path',
        claim: 'The previous-token heads and bigrams write the answer themselves; the later heads look on.',
        separatedBy: ['needed', 'needed_resampled'],
      },
    ],
  });
}

function rivalOf(shared: Shared): Hypothesis {
  const names = shared.heads.induction.map(unitLabel).join(', ');
  return record(shared, 'rival', 'induction-by-fixed-offset', {
    claim: `The heads ${names} look a fixed distance back, wherever the repeat is regular; which tokens stand there, and what the previous-token heads wrote there, does not matter to them.`,
    alternatives: [
      {
        id: 'by-token',
        claim: 'They match the current token with what stood before the key.',
        separatedBy: ['attends_by_place', 'attention_ignores_patch', 'answer_ignores_patch'],
      },
    ],
  });
}

function record(
  shared: Shared,
  of: 'claim' | 'rival',
  name: string,
  { claim, alternatives }: Pick<Hypothesis, 'claim' | 'alternatives'>,
): Hypothesis {
  const { reference, heads, stimuli, unseen } = shared;
  const predictions = predictionsOf(shared, of);
  const controlPredictions = controlPredictionsOf(shared);
  const layers = [...new Set(heads.induction.map((unit) => (unit.kind === 'head' ? unit.layer : 0)))];
  const any = (list: readonly Prediction[], state: 'supported' | 'refuted'): Condition => ({
    kind: state === 'supported' ? 'all' : 'any',
    of: list.map(({ id }) => ({ kind: 'is', criterion: id, state })),
  });
  return {
    kind: 'hypothesis',
    version: 1,
    name,
    revision: 1,
    claim,
    claimKind: 'circuit',
    scope: {
      models: [reference],
      data: unseen
        ? 'Random tokens, part of which repeats. Confirmation prompts are longer than exploration’s and of tokens that it never drew; training may have seen both.'
        : 'Random tokens, part of which repeats. The vocabulary is too small to hold tokens back: confirmation prompts are new draws of the same tokens.',
    },
    definition: {
      what: 'Heads of later layers that attend from the second copy of random repeated tokens to the token after the first.',
      units: [...heads.induction],
      sites: layers.map((layer) => `blocks.${layer}.attn.hook_pattern`),
      condition: `mean attention of at least ${ATTENDS} on that token, over the queries of the second half; previous-token heads: at least ${ATTENDS} on the token before, in an earlier layer`,
      chosenOn: stimuli.filter(({ seed }) => seed.kind === 'explore').map(({ id }) => id),
      unitOfAnalysis: 'prompt',
      exclusions: 'none',
    },
    predictions: [...predictions],
    alternatives,
    interventions: [
      { id: 'ablate-mean', what: 'all heads of the definition at once', target: [...heads.induction], by: 'mean' },
      {
        id: 'ablate-resample',
        what: 'all heads of the definition at once',
        target: [...heads.induction],
        by: 'resample',
      },
      {
        id: 'exchange',
        what: 'previous-token heads, at the tokens after a and b, as on the prompt with a and b exchanged',
        target: [...heads.previous],
        by: 'patch',
      },
    ],
    controls: [
      { kind: 'negative', what: 'ablating other heads', criterion: 'control_other_heads' },
      { kind: 'negative', what: 'prompts without a repeat', criterion: 'control_without_repeat' },
      { kind: 'sham', what: 'the patch at other places', criterion: 'control_sham_patch' },
    ],
    controlPredictions: [...controlPredictions],
    stimuli: [...stimuli],
    analysis: {
      estimates: INDUCTION_ESTIMATES,
      interval: 'bca',
      resamples: 4000,
      correction: 'bonferroni',
      cluster: 'none: prompts are drawn independently',
      rng: 'philox4x32-10',
      missing: 'refuse',
    },
    decision: {
      invalidIf: any(controlPredictions, 'refuted'),
      falsifiedIf: any(predictions, 'refuted'),
      corroboratedIf: any(predictions, 'supported'),
    },
  };
}
