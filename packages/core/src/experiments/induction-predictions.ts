import { CircuitscopeError, type Prediction } from '@circuitscope/schema';
import { mean, normalCdf, normalQuantile, variance } from '../statistics/index.ts';
import { type InductionEstimate, inductionEstimates, type Sample } from './induction-estimates.ts';

// Tables: what the claim and its rival predict, estimate by estimate, with the bound and why it is that one.

/** A head attends by a rule if this share of its attention does. */
export const ATTENDS = 0.4;
const ALPHA = 0.05;

/** What exploration gave, and how many prompts confirmation will have. */
export interface Explored {
  readonly pilot: ReadonlyMap<InductionEstimate, Sample>;
  readonly examples: number;
}

/** The estimates that both hypotheses speak about; they differ where `claim` and `rival` do. */
export function predictionsOf(shared: Explored, of: 'claim' | 'rival'): readonly Prediction[] {
  const whole = centre(shared.pilot.get('long.logit_diff'));
  // Half of what exploration showed; a model that shows nothing makes a claim that it can only fail.
  const bound = Math.max(0.5, Math.round(50 * whole) / 100);
  const same: readonly Plan[] = [
    {
      id: 'behaviour',
      estimate: 'long.logit_diff',
      what: 'The model still names the token that followed, on longer repeats of other tokens.',
      contrast: 'answer against another token of the prompt',
      direction: 'at_least',
      bound,
      reason: 'Half of what exploration showed on shorter repeats.',
    },
    {
      id: 'needed',
      estimate: 'long.lost_by_mean_ablation',
      what: 'Without these heads at least half of it is lost.',
      contrast: 'whole model against these heads writing their mean',
      direction: 'at_least',
      bound: 0.5,
      reason: 'Heads that do less than half of it are not where it happens.',
    },
    {
      id: 'needed_resampled',
      estimate: 'long.lost_by_resampling',
      what: 'The same if they write what they write where nothing repeats.',
      contrast: 'whole model against these heads on a prompt without a repeat',
      direction: 'at_least',
      bound: 0.5,
      reason: 'As for the mean; another ablation, as effects depend on it.',
    },
  ];
  const token: readonly Plan[] = [
    {
      id: 'attends_by_token',
      estimate: 'shuffled.attention',
      what: 'In a repeat whose order is changed the heads look at the token after the earlier copy.',
      contrast: 'attention at that token, against none',
      direction: 'at_least',
      bound: ATTENDS,
      reason: 'The share by which the heads were defined.',
    },
    {
      id: 'attention_follows_patch',
      estimate: 'exchange.attention_moved',
      what: 'Where the previous-token heads say that another token stood before, there the attention goes.',
      contrast: 'patched against clean',
      direction: 'at_least',
      bound: ATTENDS / 2,
      reason: 'Half the share by which the heads were defined.',
    },
    {
      id: 'answer_follows_patch',
      estimate: 'exchange.answer_moved',
      what: 'The answer goes with the attention.',
      contrast: 'token after b against token after a, patched',
      direction: 'at_least',
      bound: 0.5,
      reason: 'More prompts move than stay.',
    },
  ];
  const place: readonly Plan[] = [
    {
      id: 'attends_by_place',
      estimate: 'shuffled.attention_at_offset',
      what: 'In a repeat whose order is changed the heads look where the token would stand if it were not.',
      contrast: 'attention at that place, against none',
      direction: 'at_least',
      bound: ATTENDS,
      reason: 'The share by which the heads were defined.',
    },
    {
      id: 'attention_ignores_patch',
      estimate: 'exchange.attention_moved',
      what: 'What the previous-token heads say does not move the attention.',
      contrast: 'patched against clean',
      direction: 'at_most',
      bound: ATTENDS / 4,
      reason: 'A quarter of the share by which the heads were defined is no move.',
    },
    {
      id: 'answer_ignores_patch',
      estimate: 'exchange.answer_moved',
      what: 'Nor the answer.',
      contrast: 'token after b against token after a, patched',
      direction: 'at_most',
      bound: 0.25,
      reason: 'At most one prompt in four moves.',
    },
  ];
  const plans = [...same, ...(of === 'claim' ? token : place)];
  return plans.map((plan) => ({ ...plan, alpha: ALPHA, family: 'claim', ...pilotOf(plan, shared, plans.length) }));
}

type Plan = Omit<Prediction, 'estimate' | 'alpha' | 'family' | 'pilot'> & { readonly estimate: InductionEstimate };

/** The same for both. */
export function controlPredictionsOf(shared: Explored): readonly Prediction[] {
  const plans: readonly Plan[] = [
    {
      id: 'control_other_heads',
      estimate: 'long.lost_by_other_heads',
      what: 'Other heads can be taken out: not any ablation breaks the model.',
      contrast: 'whole model against other heads writing their mean',
      direction: 'at_most',
      bound: 0.25,
      reason: 'Half of what the claim demands of its own heads.',
    },
    {
      id: 'control_without_repeat',
      estimate: 'long.right_without_repeat',
      what: 'Where nothing repeats the answer is not named.',
      contrast: 'the same answers on prompts without a repeat',
      direction: 'at_most',
      bound: 0.25,
      reason: 'Else the answer would not rest on the repeat.',
    },
    {
      id: 'control_sham_patch',
      estimate: 'exchange.moved_by_sham',
      what: 'The same patch at other places moves nothing: patching as such does not move attention.',
      contrast: 'sham patch against clean',
      direction: 'at_most',
      bound: ATTENDS / 4,
      reason: 'Half of what the claim demands of the real patch.',
    },
  ];
  return plans.map((plan) => ({ ...plan, alpha: ALPHA, family: 'controls', ...pilotOf(plan, shared, plans.length) }));
}

/** What exploration gave, and the chance that the planned number of prompts decides if it gave the truth. */
function pilotOf({ estimate, bound }: Plan, { pilot, examples }: Explored, family: number): Pick<Prediction, 'pilot'> {
  const sample = pilot.get(estimate);
  if (!sample)
    throw new CircuitscopeError(
      'bad_hypothesis',
      `There is no pilot of ${estimate}: ${inductionEstimates[estimate].what}.`,
    );
  const value = centre(sample);
  const sd = Math.sqrt(variance(influences(sample)));
  const z = normalQuantile(1 - ALPHA / family);
  const power = sd > 0 ? normalCdf((Math.abs(value - bound) * Math.sqrt(examples)) / sd - z) : Number(value !== bound);
  return { pilot: { value, sd, n: lengthOf(sample), power } };
}

function centre(sample: Sample | undefined): number {
  if (!sample) return 0;
  return sample.kind === 'ratio' ? mean(sample.numerator) / mean(sample.denominator) : mean(sample.values);
}

/** What each prompt adds to the estimate; of a ratio to first order. */
function influences(sample: Sample): Float64Array {
  if (sample.kind !== 'ratio') return sample.values;
  const [ratio, below] = [centre(sample), mean(sample.denominator)];
  return sample.numerator.map((value, at) => (value - ratio * (sample.denominator[at] as number)) / below);
}

function lengthOf(sample: Sample): number {
  return sample.kind === 'ratio' ? sample.numerator.length : sample.values.length;
}
