import { CircuitscopeError, type Intervention, type Task, type UnitRef } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { type MetricValues, measure, rowValues, sourceRuns, type TaskData, taskData } from '../circuits/index.ts';
import { captured, type Engine, makePlan, type Run, type RunOptions, runPlan } from '../plan/index.ts';
import type { EstimateRange } from './hypothesis-check.ts';

/** One number per prompt, or two whose ratio of means is meant. */
export type Sample =
  | { readonly kind: 'mean'; readonly values: Float64Array }
  | { readonly kind: 'share'; readonly values: Float64Array }
  | { readonly kind: 'ratio'; readonly numerator: Float64Array; readonly denominator: Float64Array };

export const INDUCTION_ESTIMATES = 'induction/1';

const free: EstimateRange = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];

/** What each estimate is, and where it can lie. The unit is the prompt. */
export const inductionEstimates = {
  'long.logit_diff': { range: free, what: 'logit of the answer minus that of another token of the prompt, on repeats' },
  'long.lost_by_mean_ablation': {
    range: free,
    what: 'share of long.logit_diff that is lost when all heads of the claim write their mean over prompts and positions',
  },
  'long.lost_by_resampling': {
    range: free,
    what: 'the same when they write what they write on a prompt without a repeat',
  },
  'long.lost_by_other_heads': {
    range: free,
    what: 'the same when heads that the claim does not name (nor its previous-token heads) write their mean, as many as there are up to the number claimed',
  },
  'long.right_without_repeat': {
    range: [0, 1],
    what: 'share of prompts without a repeat on which the answer of the repeat comes first',
  },
  'shuffled.attention': {
    range: [0, 1],
    what: 'attention of the heads from the last token to the token after its earlier copy, repeats in another order',
  },
  'shuffled.attention_at_offset': {
    range: [0, 1],
    what: 'attention to where that token would stand if the order were kept',
  },
  'exchange.attention_moved': {
    range: [-1, 1],
    what: 'attention gained at the token after b when the previous-token heads write there, and after a, as if a and b were exchanged; the last token is a',
  },
  'exchange.answer_moved': {
    range: [0, 1],
    what: 'share of prompts on which that patch makes the token after b likelier than the token after a',
  },
  'exchange.moved_by_sham': {
    range: [-1, 1],
    what: 'attention lost at the token after a when the same heads are patched from the same prompt at two other places',
  },
} as const satisfies { readonly [name: string]: { readonly range: EstimateRange; readonly what: string } };

export type InductionEstimate = keyof typeof inductionEstimates;

export const inductionRanges: ReadonlyMap<string, EstimateRange> = new Map(
  Object.entries(inductionEstimates).map(([name, { range }]) => [name, range]),
);

export interface InductionHeads {
  readonly induction: readonly UnitRef[];
  readonly previous: readonly UnitRef[];
}

type Options = Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
type Head = { readonly kind: 'head'; readonly layer: number; readonly head: number };

/** Measures every estimate of the table, one value per prompt. */
export async function measureInductionEstimates(
  engine: Engine,
  model: Model,
  heads: InductionHeads,
  tasks: { readonly long: Task; readonly shuffled: Task; readonly exchange: Task },
  { onProgress, ...run }: Options = {},
): Promise<ReadonlyMap<InductionEstimate, Sample>> {
  const [claimed, previous] = [onlyHeads(heads.induction), onlyHeads(heads.previous)];
  const found = new Map<InductionEstimate, Sample>();
  const set = (name: InductionEstimate, sample: Sample): void => {
    found.set(name, sample);
  };

  const long = taskData(tasks.long);
  const others = otherHeads(model, [...claimed, ...previous], claimed.length);
  const runs = new Map([
    ...(await sourceRuns(engine, long, 'mean', run)),
    ...(await sourceRuns(engine, long, 'resample', run)),
  ]);
  const written = (list: readonly Head[], value: 'mean' | 'run'): Intervention[] =>
    list.map(({ layer, head }) => ({
      kind: 'write',
      at: { site: zSite(layer), head: [head] },
      op: 'set',
      value: value === 'mean' ? { kind: 'mean', run: 'clean', over: 'batch_pos' } : { kind: 'run', name: 'corrupt' },
    }));
  const ablated = await measure(
    engine,
    long,
    'logit_diff',
    [[], written(claimed, 'mean'), written(claimed, 'run'), written(others, 'mean')],
    { ...run, runs },
  );
  set('long.logit_diff', { kind: 'mean', values: Float64Array.from(rowValues(ablated, 0)) });
  set('long.lost_by_mean_ablation', lost(ablated, 1));
  set('long.lost_by_resampling', lost(ablated, 2));
  set('long.lost_by_other_heads', lost(ablated, 3));
  const without = await measure(engine, { ...long, clean: long.corrupt }, 'accuracy', [[]], run);
  set('long.right_without_repeat', { kind: 'share', values: Float64Array.from(rowValues(without, 0)) });
  onProgress?.(0.4);

  const shuffled = taskData(tasks.shuffled);
  const looking = await runPlan(engine, makePlan(engine.graph, { readouts: patternsOf(claimed) }), shuffled.clean, run);
  set('shuffled.attention', { kind: 'mean', values: attention(looking, claimed, shuffled, 'TARGET') });
  set('shuffled.attention_at_offset', { kind: 'mean', values: attention(looking, claimed, shuffled, 'OFFSET') });
  onProgress?.(0.6);

  const exchange = taskData(tasks.exchange);
  const patch = (...names: readonly string[]): Intervention[] =>
    previous.flatMap(({ layer, head }) =>
      names.map(
        (name): Intervention => ({
          kind: 'write',
          at: { site: zSite(layer), head: [head], at: { kind: 'perExample', positions: [...places(exchange, name)] } },
          op: 'set',
          value: { kind: 'run', name: 'corrupt' },
        }),
      ),
    );
  const patched = await runPlan(
    engine,
    makePlan(engine.graph, {
      readouts: [
        ...patternsOf(claimed),
        { kind: 'logitDiff', at: exchange.at, answer: [...exchange.answer], wrong: [...exchange.wrong] },
      ],
      sweep: [[], patch('TARGET', 'SWAPPED'), patch('ELSEWHERE_1', 'ELSEWHERE_2')],
    }),
    exchange.clean,
    { ...run, runs: await sourceRuns(engine, exchange, 'resample', run) },
  );
  const at = (name: string, variant: number): Float64Array => attention(patched, claimed, exchange, name, variant);
  const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - (b[i] as number));
  set('exchange.attention_moved', { kind: 'mean', values: minus(at('SWAPPED', 1), at('SWAPPED', 0)) });
  set('exchange.moved_by_sham', { kind: 'mean', values: minus(at('TARGET', 0), at('TARGET', 2)) });
  const differences = patched.results[patched.results.length - 1];
  const values = differences?.kind === 'logitDiff' ? differences.tensor.data : new Float64Array();
  set('exchange.answer_moved', {
    kind: 'share',
    values: Float64Array.from({ length: exchange.examples }, (_, i) =>
      (values[exchange.examples + i] as number) < 0 ? 1 : 0,
    ),
  });
  onProgress?.(1);
  return found;
}

/** As many heads as were claimed, evenly from those that are neither claimed nor previous-token heads; fewer where there are fewer. */
function otherHeads({ spec }: Model, taken: readonly Head[], count: number): readonly Head[] {
  const free = Array.from(
    { length: spec.layers * spec.heads },
    (_, at): Head => ({ kind: 'head', layer: Math.floor(at / spec.heads), head: at % spec.heads }),
  ).filter(({ layer, head }) => !taken.some((one) => one.layer === layer && one.head === head));
  if (free.length <= count) return free;
  return Array.from({ length: count }, (_, at) => free[Math.floor((at * free.length) / count)] as Head);
}

function lost(measured: MetricValues, variant: number): Sample {
  const whole = Float64Array.from(rowValues(measured, 0));
  const changed = rowValues(measured, variant);
  return { kind: 'ratio', numerator: whole.map((value, i) => value - (changed[i] as number)), denominator: whole };
}

/** Mean over the heads of the attention from `END` to a named place, per prompt. */
function attention(run: Run, heads: readonly Head[], data: TaskData, name: string, variant = 0): Float64Array {
  const keys = places(data, name);
  return Float64Array.from(keys, (key, example) => {
    let sum = 0;
    for (const { layer, head } of heads) {
      const { shape, data: pattern } = captured(run, patternSite(layer));
      // [variant]? [example, head, query, key]
      const [count, queries, width] = shape.slice(-3) as [number, number, number];
      const row = variant * data.examples + example;
      sum += pattern[((row * count + head) * queries + (data.end[example] as number)) * width + key] as number;
    }
    return sum / heads.length;
  });
}

function places({ clean }: TaskData, name: string): readonly number[] {
  const found = clean.named?.[name];
  if (found) return found;
  throw new CircuitscopeError('bad_task', `These prompts do not name the place ${name}.`, { at: name });
}

function patternsOf(heads: readonly Head[]) {
  return [...new Set(heads.map(({ layer }) => layer))].map((layer) => ({
    kind: 'capture' as const,
    at: { site: patternSite(layer) },
  }));
}

function onlyHeads(units: readonly UnitRef[]): readonly Head[] {
  return units.map((unit) => {
    if (unit.kind === 'head') return unit;
    throw new CircuitscopeError('bad_hypothesis', `A hypothesis about induction names heads; ${unit.kind} is none.`, {
      got: unit.kind,
    });
  });
}

const zSite = (layer: number): string => `blocks.${layer}.attn.hook_z`;
const patternSite = (layer: number): string => `blocks.${layer}.attn.hook_pattern`;
