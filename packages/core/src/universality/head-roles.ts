import type { Intervention, Readout, Task } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { cutEdges, measure, rowValues, sourceRuns, type TaskData, taskData } from '../circuits/index.ts';
import { attentionTarget, repeatedTokens, scoreAttention, type TokenChoice } from '../features/index.ts';
import { captured, type Engine, makePlan, type RunOptions, runPlan } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { type BehaviourName, behaviourNames, behaviourTask, copyingBehaviours } from './behaviours.ts';
import { copyingScores } from './copying-scores.ts';

/** What a head does, by name: where it looks, what it copies, what it adds to the answer itself. All lie in −1 … 1. */
export const roleNames = [
  'previous_token',
  'duplicate_token',
  'induction',
  'first_token',
  'current_token',
  'copying',
  'direct_effect',
] as const;

export interface HeadRole {
  readonly layer: number;
  readonly head: number;
  /** 0 in the first layer, 1 in the last. */
  readonly depth: number;
  /** [roleNames] */
  readonly roles: Float64Array;
  /** [behaviourNames]: what interchanging the head's output takes from each metric, in units of the model's own metrics. */
  readonly ablation: Float64Array;
}

export interface MeasuredRoles {
  readonly heads: readonly HeadRole[];
  /** Share of examples of each behaviour whose answer has the largest logit. */
  readonly accuracy: { readonly [name in BehaviourName]: number };
  /** Ablation profiles for other questions about the same prompts, [question][head × behaviour]. */
  readonly otherQuestions: readonly Float64Array[];
  /** The last stream at `END` of every example of the copying behaviours, [example, model]. */
  readonly stream: Tensor;
  /** The prompts that were run. */
  readonly tasks: readonly Task[];
}

export interface HeadRoleOptions extends TokenChoice {
  readonly seed: number;
  /** Prompts of each behaviour, 32 if left out. */
  readonly examples?: number;
  /** Other questions, each answer and wrong answer drawn from all tokens but the true answer and the current one; 0 if left out. */
  readonly questions?: number;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

/**
 * The roles of all heads from stimuli that depend on the model's size and the seed alone. Attention scores are the share
 * of attention on the target keys (TransformerLens's `mul`), means over the queries of the second half of random repeats.
 * `direct_effect` is the mean effect on `copy` of cutting the head from the logits, over the sum of all heads' root mean
 * squares: noise goes to 0, shares of a real effect sum to at most 1. An ablation writes the head's output on the corrupt
 * prompt (interchange), everything downstream computed again; its effect is whole − changed over the root mean square of
 * the whole model's metrics on all examples of all behaviours.
 */
export async function measureHeadRoles(engine: Engine, model: Model, options: HeadRoleOptions): Promise<MeasuredRoles> {
  const { seed, examples = 32, questions = 0, run = {} } = options;
  const { onProgress, ...quiet } = run;
  const { layers, heads } = model.spec;
  const all = Array.from({ length: layers * heads }, (_, at) => ({ layer: Math.floor(at / heads), head: at % heads }));
  const attention = await attentionRoles(engine, model, { ...options, examples, run: quiet });
  const copying = await copyingScores(model, engine.executor);
  onProgress?.(0.1);

  const tasks = behaviourNames.map((name) => behaviourTask(name, model.spec, { ...options, seed, examples }));
  const accuracy: { [name in BehaviourName]?: number } = {};
  const profiles: Behaved[] = [];
  const streams: Tensor[] = [];
  for (const [index, name] of behaviourNames.entries()) {
    const behaved = await behave(engine, model, taskData(tasks[index] as Task), { seed, questions, run: quiet });
    accuracy[name] = behaved.accuracy;
    profiles.push(behaved);
    if (copyingBehaviours.includes(name)) streams.push(behaved.stream);
    onProgress?.(0.1 + (0.9 * (index + 1)) / behaviourNames.length);
  }
  const effects = (question: number): Float64Array => {
    const of = profiles.map(({ metrics }) => metrics[question] as Float64Array[]);
    const whole = of.flatMap((rows) => [...(rows[0] as Float64Array)]);
    const scale = Math.sqrt(whole.reduce((sum, value) => sum + value * value, 0) / whole.length);
    return Float64Array.from(
      all.flatMap((_, at) => of.map((rows) => (scale > 0 ? difference(rows[0], rows[at + 1]) / scale : 0))),
    );
  };
  const direct = await directEffects(engine, taskData(tasks[0] as Task), all, quiet);
  const ablation = effects(0);
  return {
    heads: all.map(({ layer, head }, at) => ({
      layer,
      head,
      depth: layers > 1 ? layer / (layers - 1) : 0,
      roles: Float64Array.of(
        ...attention.map((scores) => scores[at] as number),
        copying[at] as number,
        direct[at] as number,
      ),
      ablation: ablation.slice(at * behaviourNames.length, (at + 1) * behaviourNames.length),
    })),
    accuracy: accuracy as { readonly [name in BehaviourName]: number },
    otherQuestions: Array.from({ length: questions }, (_, question) => effects(question + 1)),
    stream: stacked(streams),
    tasks,
  };
}

/** [role][head], the first five of the roles. */
async function attentionRoles(
  engine: Engine,
  model: Model,
  options: HeadRoleOptions & { readonly examples: number },
): Promise<readonly Float64Array[]> {
  const { layers, heads } = model.spec;
  const data = repeatedTokens(model.spec, options);
  const length = data.tokens[0]?.length ?? 0;
  const same = (key: (query: number) => number): Uint8Array =>
    Uint8Array.from({ length: length * length }, (_, at) => (at % length === key(Math.floor(at / length)) ? 1 : 0));
  const plan = makePlan(engine.graph, {
    readouts: Array.from({ length: layers }, (_, layer) => ({
      kind: 'capture' as const,
      at: { site: `blocks.${layer}.attn.hook_pattern` },
    })),
  });
  const run = await runPlan(engine, plan, { tokens: data.tokens }, options.run);
  const scores = Array.from({ length: 5 }, () => new Float64Array(layers * heads));
  for (const [example, prompt] of data.tokens.entries()) {
    const targets = [
      attentionTarget('previousToken', prompt),
      attentionTarget('duplicateToken', prompt),
      attentionTarget('induction', prompt),
      same(() => 0),
      same((query) => query),
    ];
    for (let at = 0; at < layers * heads; at++) {
      const { data: pattern } = captured(run, `blocks.${Math.floor(at / heads)}.attn.hook_pattern`);
      const from = (example * heads + (at % heads)) * length * length;
      targets.forEach((target, role) => {
        const { score } = scoreAttention(pattern.subarray(from, from + length * length), target, data.second);
        (scores[role] as Float64Array)[at] = (scores[role]?.[at] as number) + score / data.tokens.length;
      });
    }
  }
  return scores;
}

interface Behaved {
  readonly accuracy: number;
  /** [question][variant][example]: the true question first, variant 0 is the whole model. */
  readonly metrics: readonly Float64Array[][];
  readonly stream: Tensor;
}

async function behave(
  engine: Engine,
  model: Model,
  data: TaskData,
  {
    seed,
    questions,
    run,
  }: { seed: number; questions: number; run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'> },
): Promise<Behaved> {
  const { layers, heads } = model.spec;
  const runs = await sourceRuns(engine, data, 'resample', run);
  const interchange = Array.from(
    { length: layers * heads },
    (_, at): Intervention => ({
      kind: 'write',
      at: { site: `blocks.${Math.floor(at / heads)}.attn.hook_z`, head: [at % heads] },
      op: 'set',
      value: { kind: 'run', name: 'corrupt' },
    }),
  );
  const asked = [
    { answer: [...data.answer], wrong: [...data.wrong] },
    ...Array.from({ length: questions }, (_, question) => otherQuestion(data, model.spec.vocab, seed, question)),
  ];
  const readouts: Readout[] = asked.map(({ answer, wrong }) => ({ kind: 'logitDiff', at: data.at, answer, wrong }));
  const sweep = [[], ...interchange.map((one) => [one])];
  const swept = await runPlan(engine, makePlan(engine.graph, { readouts, sweep }), data.clean, { ...run, runs });
  const site = `blocks.${layers - 1}.hook_resid_post`;
  const whole = await runPlan(
    engine,
    makePlan(engine.graph, {
      readouts: [
        { kind: 'topK', at: data.at, k: 1 },
        { kind: 'capture', at: { site } },
      ],
    }),
    data.clean,
    run,
  );
  const named = whole.results[0];
  const right =
    named?.kind === 'topK' ? data.answer.filter((answer, example) => named.indices.data[example] === answer).length : 0;
  return {
    accuracy: right / data.examples,
    metrics: readouts.map((_, question) => {
      const result = swept.results[question];
      const values = result?.kind === 'logitDiff' ? result.tensor.data : new Float64Array();
      return sweep.map((_, variant) =>
        Float64Array.from(values.subarray(variant * data.examples, (variant + 1) * data.examples)),
      );
    }),
    stream: rowsAt(captured(whole, site), data.end),
  };
}

/** The same for every model of a vocabulary: two tokens that are neither the answer nor the current token. */
function otherQuestion(data: TaskData, vocab: number, seed: number, question: number) {
  const rng = new Rng(seed, `universality/questions/${data.task.name}/${question}`);
  const answer: number[] = [];
  const wrong: number[] = [];
  data.task.examples.forEach((example, at) => {
    const taken = new Set([example.answer, example.clean[data.end[at] as number]]);
    const draw = (): number => {
      for (;;) {
        const id = rng.below(vocab);
        if (!taken.has(id)) return id;
      }
    };
    answer.push(draw());
    taken.add(answer[at]);
    wrong.push(draw());
  });
  return { answer, wrong };
}

async function directEffects(
  engine: Engine,
  data: TaskData,
  heads: readonly { readonly layer: number; readonly head: number }[],
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'>,
): Promise<Float64Array> {
  const cuts = heads.map(({ layer, head }) =>
    cutEdges([{ from: { kind: 'head', layer, head }, to: { kind: 'logits', port: 'in' } }], 'zero'),
  );
  const measured = await measure(engine, data, 'logit_diff', [[], ...cuts], run);
  const effects = heads.map((_, at) =>
    rowValues(measured, 0).map((value, i) => value - (rowValues(measured, at + 1)[i] as number)),
  );
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const total = effects.reduce((sum, values) => sum + Math.sqrt(mean(values.map((value) => value * value))), 0);
  return Float64Array.from(effects, (values) => (total > 0 ? mean(values) / total : 0));
}

function difference(whole: Float64Array | undefined, changed: Float64Array | undefined): number {
  if (!whole || !changed) return 0;
  return whole.reduce((sum, value, at) => sum + value - (changed[at] as number), 0) / whole.length;
}

/** One position of each example of [example, pos, model]. */
function rowsAt({ shape, data }: Tensor, at: readonly number[]): Tensor {
  const [, positions = 1, width = 1] = shape;
  return {
    shape: [at.length, width],
    data: Float64Array.from(
      at.flatMap((position, example) => {
        const from = (example * positions + position) * width;
        return [...data.subarray(from, from + width)];
      }),
    ),
  };
}

function stacked(tensors: readonly Tensor[]): Tensor {
  return {
    shape: [tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0), tensors[0]?.shape[1] ?? 0],
    data: Float64Array.from(tensors.flatMap(({ data }) => [...data])),
  };
}
