import { decompose, type Edge, edgesOf, type Model, Rng } from '@circuitscope/core';
import type { Ablation } from '@circuitscope/schema';
import { type Cell, handTransformer, range } from './hand-transformer.ts';
import { type Law, type Truth, truthOf, type ZooMember } from './zoo-member.ts';

// Models that are linear in what they embed: queries and keys are 0, so every position reads the mean of those before it,
// whatever they hold; MLPs have no activation; no norms, no biases. There an edge's attribution is its exact effect, and
// the effects of all edges from the input, or of all edges into the logits, sum to the whole effect.

interface LinearModel {
  readonly name: string;
  readonly title: string;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly headWidth: number;
  /** 0 for attention alone. */
  readonly inner: number;
  readonly seed: number;
}

const VOCAB = 12;
const CONTEXT = 6;
const TOLERANCE = 1e-5;

function linearModel(options: LinearModel): ZooMember {
  const { name, title } = options;
  return {
    name,
    title,
    made: 'Random weights from a seed, no norm, no activation, attention spread evenly: a linear map of the embeddings.',
    model: () => build(options),
    task: ({ seed, examples }) => {
      const rng = new Rng(seed, `zoo/${name}/task`);
      const prompt = (): number[] => [0, ...range(CONTEXT - 1).map(() => 1 + rng.below(VOCAB - 1))];
      return {
        kind: 'task',
        version: 1,
        name,
        description: 'Random tokens, and the logits of two random tokens after them: there is nothing to learn.',
        metric: { kind: 'logit_diff', at: { kind: 'last' } },
        examples: range(examples).map(() => {
          const [answer = 0, wrongAnswer = 1] = rng.shuffle(range(VOCAB));
          return { clean: prompt(), corrupt: prompt(), answer, wrongAnswer };
        }),
      };
    },
    get truth() {
      return truths(options);
    },
    bos: 0,
    tokens: ['<bos>', ...range(VOCAB - 1).map((i) => String.fromCharCode(97 + i))],
    laws,
  };
}

const laws: readonly Law[] = (['zero', 'resample'] as const).flatMap((ablation): Law[] => [
  { kind: 'edge_sum', edges: 'from_input', ablation, tolerance: TOLERANCE },
  { kind: 'edge_sum', edges: 'into_logits', ablation, tolerance: TOLERANCE },
  { kind: 'attribution_is_exact', ablation, tolerance: TOLERANCE },
]);

function build({ name, layers, heads, width, headWidth, inner, seed }: LinearModel): Model {
  const rng = new Rng(seed, `zoo/${name}/weights`);
  /** Independent entries of variance 1/rows. */
  const random = (rows: number, columns: number): Cell[] =>
    range(rows).flatMap((row) => range(columns).map((column): Cell => [row, column, rng.normal() / Math.sqrt(rows)]));
  return handTransformer({
    name,
    width,
    headWidth,
    vocab: VOCAB,
    context: CONTEXT,
    embed: random(VOCAB, width),
    positions: random(CONTEXT, width),
    layers: range(layers).map(() => ({
      heads: range(heads).map(() => ({ v: random(width, headWidth), o: random(headWidth, width) })),
      ...(inner > 0 ? { mlp: { in: random(width, inner), out: random(inner, width) } } : {}),
    })),
    unembed: random(width, VOCAB),
    inner,
    linear: true,
  });
}

/** Every edge matters but those into queries and keys, which are multiplied by 0. */
function truths(options: LinearModel): Truth[] {
  const edges = edgesOf(decompose(build(options).graph));
  const asks = ({ to }: Edge): boolean => to.kind === 'head' && to.port !== 'v';
  return (['zero', 'resample'] satisfies Ablation[]).map((ablation) =>
    truthOf({ ablation, metric: 'logit_diff', edges: edges.filter((edge) => !asks(edge)) }),
  );
}

export const linearMembers: readonly ZooMember[] = [
  linearModel({
    name: 'linear-attention',
    title: 'Two layers of linear attention',
    layers: 2,
    heads: 2,
    width: 8,
    headWidth: 4,
    inner: 0,
    seed: 1,
  }),
  linearModel({
    name: 'linear-blocks',
    title: 'Three linear blocks of attention and MLP',
    layers: 3,
    heads: 2,
    width: 8,
    headWidth: 4,
    inner: 6,
    seed: 2,
  }),
];
