import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import { type Engine, findWeight, type Prompt } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import { captureSites, type LensRun } from './capture-sites.ts';
import { headsOf, requireProduct } from './decompose-stream.ts';
import { type FinalRead, readFinal } from './final-read.ts';
import { addFinalRead, addLogitsOf, LensProgram, runLensProgram } from './lens-program.ts';

// Direct logit attribution (Elhage et al. 2021): what each part of the stream adds to a logit, or to a difference of two, with
// the last norm's scale held at its value. The answer is pulled back through the unembedding and through each writing matrix
// once, [part], so that no part's own vector over the vocabulary, nor even over the stream, is ever made.

export interface AttributeOptions extends LensRun {
  /** A token id per example. */
  readonly answer: readonly number[];
  /** Subtracted, where given: a logit difference. */
  readonly wrong?: readonly number[];
  /** One position per example. */
  readonly at: Pos;
  /** `layers`: attention and MLP as wholes. `heads`: heads one by one. */
  readonly by: 'layers' | 'heads';
  /** Layers whose MLP is split into its neurons. */
  readonly neurons?: readonly number[];
}

export interface LogitAttribution {
  readonly labels: readonly string[];
  /** [part, example] */
  readonly values: Float64Array;
  readonly examples: number;
  /** The logit, or the difference, as the model computes it; per example. */
  readonly logit: Float64Array;
  /** Of each example what parts add up to; only rounding lies between it and `logit`. */
  readonly sum: Float64Array;
}

export async function attributeLogits(
  engine: Engine,
  prompt: Prompt,
  options: AttributeOptions,
): Promise<LogitAttribution> {
  const { answer, wrong, at, by, neurons = [], ...run } = options;
  const { graph } = engine;
  const final = readFinal(graph);
  if (final.cap) {
    throw new CircuitscopeError(
      'not_exact',
      'The logits of this model are capped behind their product, so that no sum of parts gives them; attribute to directions before the cap.',
      { at: 'logits' },
    );
  }
  const batch = prompt.tokens.length;
  checkIds(final, batch, answer, wrong);
  const tokens = answer.map((id, example) => (wrong ? [id, wrong[example] ?? 0] : [id]));
  const columns = await columnsOf(engine, final, tokens, run);
  const { direction, constant } = directionOf(engine, final, columns, tokens);
  const parts = partsOf(engine, final, by, neurons);
  const pulled = await pullBack(engine, final, direction, parts, run);
  const sites = [
    ...parts.flatMap((part) => ('site' in part ? [part.site] : [])),
    ...(final.scale ? [final.scale] : []),
  ];
  const taken = await captureSites(engine, prompt, [final.stream, ...sites], at, run);
  const stream = taken.get(final.stream);
  if (stream?.shape[1] !== 1) {
    throw new CircuitscopeError('bad_readout', 'An attribution is made at one position of each example.', { at: 'at' });
  }
  const scale = final.scale ? taken.get(final.scale)?.data : undefined;
  const labels: string[] = [];
  const values: Float64Array[] = [];
  const put = (label: string, value: (example: number) => number): void => {
    labels.push(label);
    values.push(Float64Array.from({ length: batch }, (_, example) => value(example)));
  };
  for (const part of parts) {
    const members = part.labels.length;
    if (part.kind === 'bias') {
      const sum = part.biases.reduce((total, name) => {
        const bias = findWeight(engine.weights, name).read();
        return total.map((value, i) => value + bias[i]!);
      }, new Float64Array(final.width));
      put('bias', (example) => dot(sum, 0, direction, example * final.width, final.width) / (scale?.[example] ?? 1));
      continue;
    }
    const found = taken.get(part.site)?.data ?? new Float64Array(0);
    const along = part.matrix === null ? direction : (pulled.get(part.matrix) ?? direction);
    const width = along.length / batch / (part.matrix === null ? 1 : members);
    part.labels.forEach((label, member) => {
      put(label, (example) => {
        const from = (example * (part.matrix === null ? 1 : members) + member) * width;
        return dot(found, from, along, from, width) / (scale?.[example] ?? 1);
      });
    });
  }
  put('unembedding bias', (example) => constant[example] ?? 0);
  const sum = Float64Array.from({ length: batch }, (_, example) =>
    values.reduce((total, row) => total + (row[example] ?? 0), 0),
  );
  const logit = await logitsOf(engine, final, stream.data, tokens, run);
  const flat = new Float64Array(values.length * batch);
  for (const [part, row] of values.entries()) flat.set(row, part * batch);
  return { labels, values: flat, examples: batch, logit, sum };
}

type Part =
  /** `matrix` writes what stands at `site`, split into the labelled members; without one the site is in the stream. */
  | {
      readonly kind: 'written';
      readonly labels: readonly string[];
      readonly site: string;
      readonly matrix: string | null;
    }
  | { readonly kind: 'bias'; readonly labels: readonly ['bias']; readonly biases: readonly string[] };

function partsOf({ graph }: Engine, final: FinalRead, by: 'layers' | 'heads', neurons: readonly number[]): Part[] {
  const missing = neurons.find((layer) => !final.terms.some(({ label }) => label === `${layer}_mlp_out`));
  if (missing !== undefined) {
    throw new CircuitscopeError('unknown_layer', `This model has no MLP in a layer ${missing}.`, {
      at: `blocks.${missing}.mlp`,
      expected: `0 to ${final.layers - 1}`,
      got: String(missing),
    });
  }
  const biases: string[] = [];
  const parts = final.terms.map(({ label, site, node }): Part => {
    const [, layer = '', branch] = /^(\d+)_(attn|mlp)_out$/.exec(label) ?? [];
    const splits = branch === 'attn' ? by === 'heads' : branch === 'mlp' && neurons.includes(Number(layer));
    if (!splits) return { kind: 'written', labels: [label], site, matrix: null };
    requireProduct(node, site);
    if (node.params[1] != null) biases.push(node.params[1]);
    const attention = branch === 'attn';
    const count = attention
      ? headsOf(graph, final, Number(layer))
      : Number(graph.nodes[node.in[0] ?? -1]?.shape.at(-1));
    return {
      kind: 'written',
      labels: Array.from({ length: count }, (_, at) => `L${layer}${attention ? 'H' : 'N'}${at}`),
      site: `blocks.${layer}.${attention ? 'attn.hook_z' : 'mlp.hook_post'}`,
      matrix: node.params[0] ?? null,
    };
  });
  return biases.length === 0 ? parts : [...parts, { kind: 'bias', labels: ['bias'], biases }];
}

/** Columns of the unembedding [example, token, width], gathered where it lies. */
async function columnsOf(
  engine: Engine,
  { unembedding, width }: FinalRead,
  tokens: readonly (readonly number[])[],
  run: LensRun,
): Promise<Floats> {
  const program = new LensProgram();
  const ids = program.input('ids', ['rows', 'pos'], 'i32');
  const out = program.value(['rows', 'pos', width]);
  program.output(
    'columns',
    program.step('embed', [ids], [out], { params: [unembedding], attrs: { transposed: true } }),
  );
  const inputs = { ids: Int32Array.from(tokens.flat()) };
  const sizes = { rows: tokens.length, pos: tokens[0]?.length ?? 1 };
  const { columns } = await runLensProgram(engine, program.build(), { sizes, inputs }, run);
  return asFloats(columns, 'columns');
}

/**
 * The direction of the normalised stream that the logit rises along, gain included and, behind a layer norm, without its
 * mean; and what biases add whatever the stream holds.
 */
function directionOf(
  { weights }: Engine,
  { width, norm, gain, shift, bias, factor }: FinalRead,
  columns: Floats,
  tokens: readonly (readonly number[])[],
): { readonly direction: Float64Array; readonly constant: Float64Array } {
  const [w, s, b] = [gain, shift, bias].map((name) => (name === null ? null : findWeight(weights, name).read()));
  const count = tokens[0]?.length ?? 1;
  const direction = new Float64Array(tokens.length * width);
  const constant = new Float64Array(tokens.length);
  tokens.forEach(([id = 0, other], example) => {
    const from = example * width;
    let added = b ? b[id]! - (other === undefined ? 0 : b[other]!) : 0;
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const first = columns[example * count * width + i]!;
      const difference = first - (other === undefined ? 0 : columns[(example * count + 1) * width + i]!);
      if (s) added += factor * s[i]! * difference;
      const along = factor * (w ? w[i]! : 1) * difference;
      direction[from + i] = along;
      sum += along;
    }
    if (norm?.kind === 'layer') {
      for (let i = 0; i < width; i++) direction[from + i] = direction[from + i]! - sum / width;
    }
    constant[example] = added;
  });
  return { direction, constant };
}

/** direction · Wᵀ for each writing matrix [example, inner]. */
async function pullBack(
  engine: Engine,
  { width }: FinalRead,
  direction: Float64Array,
  parts: readonly Part[],
  run: LensRun,
): Promise<ReadonlyMap<string, Floats>> {
  const matrices = [
    ...new Set(parts.flatMap((part) => ('matrix' in part && part.matrix !== null ? [part.matrix] : []))),
  ];
  if (matrices.length === 0) return new Map();
  const program = new LensProgram();
  const from = program.input('direction', ['rows', width]);
  for (const matrix of matrices) {
    const inner = findWeight(engine.weights, matrix).shape[0] ?? 0;
    const out = program.value(['rows', inner]);
    program.output(
      matrix,
      program.step('linear', [from], [out], { params: [matrix, null], attrs: { transposed: true } }),
    );
  }
  const inputs = { direction };
  const found = await runLensProgram(
    engine,
    program.build(),
    { sizes: { rows: direction.length / width }, inputs },
    run,
  );
  return new Map(matrices.map((matrix) => [matrix, asFloats(found[matrix], matrix)]));
}

/** The model's own logit, or difference of two, of each example's stream. */
async function logitsOf(
  engine: Engine,
  final: FinalRead,
  stream: Floats,
  tokens: readonly (readonly number[])[],
  run: LensRun,
): Promise<Float64Array> {
  const program = new LensProgram();
  const count = tokens[0]?.length ?? 0;
  const read = addFinalRead(program, final, program.input('stream', ['rows', final.width]), 'rows');
  const ids = program.input('ids', ['rows', count], 'i32');
  program.output('logits', addLogitsOf(program, final, read, ids, count));
  const binding = { sizes: { rows: tokens.length }, inputs: { stream, ids: Int32Array.from(tokens.flat()) } };
  const found = asFloats((await runLensProgram(engine, program.build(), binding, run)).logits, 'logits');
  return Float64Array.from(tokens, (_, example) => {
    const [own = 0, other = 0] = found.subarray(example * count, (example + 1) * count);
    return count === 2 ? own - other : own;
  });
}

function dot(a: Floats, aFrom: number, b: Floats, bFrom: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aFrom + i]! * b[bFrom + i]!;
  return sum;
}

function asFloats(data: Floats | Int32Array | undefined, name: string): Floats {
  if (data && !(data instanceof Int32Array)) return data;
  throw new CircuitscopeError('bad_program', `The executor gave no output ${name}.`, { at: name });
}

function checkIds({ vocab }: FinalRead, batch: number, answer: readonly number[], wrong?: readonly number[]): void {
  for (const [what, ids] of Object.entries({ answer, ...(wrong ? { wrong } : {}) })) {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
    if (ids.length === batch && bad === undefined) continue;
    throw new CircuitscopeError(
      'bad_readout',
      bad === undefined
        ? `There are ${ids.length} ${what} tokens for ${batch} examples; give one for each.`
        : `The ${what} token ${bad} is not in the vocabulary of ${vocab} tokens.`,
      { at: what, expected: String(batch), got: String(bad ?? ids.length) },
    );
  }
}
