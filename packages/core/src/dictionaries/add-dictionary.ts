import type { Dim, GraphBuilder, GraphParam, GraphRewrite } from '../graph/index.ts';
import type { Weight } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { Dictionary } from './dictionary.ts';

/** Where nodes are added: a graph that is built, or one that is rewritten. */
export type Adder = Pick<GraphBuilder | GraphRewrite, 'add'>;

/**
 * The nodes of one dictionary. x is [rows, pos, dIn], or [rows, pos, heads, width] where the dictionary reads heads; latents
 * are [rows, pos, latents]. Every weight that a node reads is noted, with those that follow from the stored ones.
 */
export class DictionaryNodes {
  readonly dictionary: Dictionary;
  /** Weights that were asked for so far, by the name that the graph knows them by. */
  readonly used = new Map<string, Weight>();
  readonly #to: Adder;
  readonly #prefix: string;
  /** Trailing sizes of x. */
  readonly #inner: readonly Dim[];
  /** What it reads as it stands in the graph, and as rows of `dIn`. */
  readonly #flat: number;
  #scale: number | undefined;
  #normalized: number;

  /** @param prefix of the names of weights in the graph, with its dot */
  constructor(
    to: Adder,
    dictionary: Dictionary,
    x: { readonly id: number; readonly inner: readonly Dim[] },
    prefix: string,
  ) {
    this.dictionary = dictionary;
    this.#to = to;
    this.#prefix = prefix;
    this.#inner = x.inner;
    this.#flat = dictionary.heads ? this.#product(x.id, 'identity', [dictionary.dIn]) : x.id;
    this.#normalized = this.#normalize();
  }

  /** Pre-activations, and what else the activation needs. */
  encode(): { readonly pre: number; readonly gate: number | null } {
    const { encoder, latents, centred } = this.dictionary;
    const input = centred ? this.#minus(this.#normalized, 'b_dec') : this.#normalized;
    if (encoder.kind !== 'gated') return { pre: this.#product(input, 'W_enc', [latents], 'b_enc'), gate: null };
    const projected = this.#product(input, 'W_enc', [latents]);
    const gate = this.#affine(projected, null, 'b_gate');
    return { pre: this.#affine(projected, 'gain', 'b_mag'), gate: this.#relu(gate) };
  }

  activate(pre: number, gate: number | null): number {
    const { encoder } = this.dictionary;
    switch (encoder.kind) {
      case 'relu':
        return this.#relu(pre);
      case 'jumprelu': {
        const x = encoder.rectified ? this.#relu(pre) : pre;
        return this.#to.add('jump_relu', [x], { params: [this.#weight('threshold')] });
      }
      case 'topk': {
        const x = encoder.byDecoderNorm ? this.#affine(pre, 'decoder_norm', null) : pre;
        return this.#relu(this.#to.add('top_k_mask', [x], { attrs: { k: encoder.k } }));
      }
      case 'gated':
        return this.#to.add('where_nonzero', [gate ?? -1, this.#relu(pre)]);
    }
  }

  /**
   * The latents of x, where nobody asks for what lies between. A rectified threshold is the larger of it and 0, so that one
   * step says which latents are active; they have the bits of {@link activate}.
   */
  read(): number {
    const { pre, gate } = this.encode();
    const { encoder } = this.dictionary;
    if (encoder.kind !== 'jumprelu' || !encoder.rectified) return this.activate(pre, gate);
    return this.#to.add('jump_relu', [pre], { params: [this.#weight('threshold_rectified')] });
  }

  /** The reconstruction of latents, in the sizes of what it stands for. */
  decode(latents: number): number {
    const flat = this.#decodeFlat(latents, 'b_dec');
    const { normalization, transcoder, skip } = this.dictionary;
    let out = this.#undo(flat);
    if (normalization === 'layer_norm' && !transcoder) out = this.#to.add('sum', [out, this.#mean()]);
    if (skip) out = this.#to.add('sum', [out, this.#product(this.#flat, 'W_skip', [this.dictionary.dOut])]);
    return this.#unflatten(out);
  }

  /** What a difference of latents adds to the reconstruction: without biases, mean or skip connection. */
  decodeDifference(latents: number): number {
    return this.#unflatten(this.#undo(this.#decodeFlat(latents, null)));
  }

  #decodeFlat(latents: number, bias: string | null): number {
    const { encoder, dOut } = this.dictionary;
    const byNorm = encoder.kind === 'topk' && encoder.byDecoderNorm;
    const f = byNorm ? this.#affine(latents, 'decoder_norm_inverse', null) : latents;
    return this.#product(f, 'W_dec', [dOut], bias);
  }

  #normalize(): number {
    const { normalization } = this.dictionary;
    if (normalization === 'none') return this.#flat;
    if (normalization === 'constant_norm') {
      // √(mean square) = ‖x‖/√d, so that x over it has the norm √d.
      this.#scale = this.#to.add('norm_scale', [this.#flat], { attrs: { kind: 'rms', eps: 0 } });
      return this.#to.add('normalize', [this.#flat, this.#scale], { attrs: { kind: 'rms' } });
    }
    const deviation = this.#to.add('norm_scale', [this.#flat], { attrs: { kind: 'layer', eps: 0 } });
    this.#scale = this.#affine(deviation, 'bessel', null);
    const scale = this.#affine(this.#scale, null, 'epsilon');
    return this.#to.add('normalize', [this.#flat, scale], { attrs: { kind: 'layer' } });
  }

  #undo(flat: number): number {
    if (this.#scale === undefined || this.dictionary.transcoder) return flat;
    return this.#to.add('mul', [flat, this.#product(this.#scale, 'ones', [this.dictionary.dIn])]);
  }

  #mean(): number {
    const { dIn } = this.dictionary;
    return this.#product(this.#product(this.#flat, 'averaging', [1]), 'ones', [dIn]);
  }

  #unflatten(flat: number): number {
    return this.dictionary.heads ? this.#product(flat, 'identity', this.#inner) : flat;
  }

  /** −(−x + b): x − b to the bit, with the gradient of b where it belongs. */
  #minus(x: number, bias: string): number {
    const negative = this.#to.add('scale', [x], { attrs: { factor: -1 } });
    return this.#to.add('scale', [this.#affine(negative, null, bias)], { attrs: { factor: -1 } });
  }

  #relu(x: number): number {
    return this.#to.add('activation', [x], { attrs: { fn: 'relu' } });
  }

  #affine(x: number, gain: string | null, shift: string | null): number {
    const params = [gain, shift].map((name) => (name === null ? null : this.#weight(name)));
    return this.#to.add('affine', [x], { params });
  }

  #product(x: number, matrix: string, out: readonly Dim[], bias: string | null = null): number {
    const params = [this.#weight(matrix), bias === null ? null : this.#weight(bias)];
    return this.#to.add('linear', [x], { params, attrs: { out } });
  }

  #weight(name: string): string {
    const known = `${this.#prefix}${name}`;
    if (!this.used.has(known)) this.used.set(known, derived(name, this.dictionary));
    return known;
  }
}

export function paramsOf(used: ReadonlyMap<string, Weight>): GraphParam[] {
  return [...used].map(([name, { shape }]) => ({ name, shape }));
}

/** Weights that are no weights of the file: made in float64, and rounded once by executors that compute in float32. */
function derived(name: string, dictionary: Dictionary): Weight {
  const stored = dictionary.weights.get(name);
  if (stored) return stored;
  const { dIn, dOut, latents } = dictionary;
  const read = (of: string): Floats => dictionary.weights.get(of)?.read() ?? new Float64Array(0);
  const versions = {
    gain: 'r_mag',
    decoder_norm: 'W_dec',
    decoder_norm_inverse: 'W_dec',
    threshold_rectified: 'threshold',
  } as const;
  const from = Object.entries(versions).find(([key]) => key === name)?.[1];
  const version = from === undefined ? undefined : dictionary.weights.get(from)?.version;
  const make = (shape: readonly number[], entry: (at: number) => number): Weight => ({
    name,
    shape,
    read: () => Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => entry(at)),
    ...(version ? { version } : {}),
  });
  const lazily = (shape: readonly number[], all: () => Float64Array): Weight => ({
    name,
    shape,
    read: all,
    ...(version ? { version } : {}),
  });
  switch (name) {
    case 'gain':
      return lazily([latents], () => Float64Array.from(read('r_mag'), Math.exp));
    case 'threshold_rectified':
      return lazily([latents], () => Float64Array.from(read('threshold'), (value) => Math.max(value, 0)));
    case 'decoder_norm':
      return lazily([latents], () => rowNorms(read('W_dec'), latents, dOut));
    case 'decoder_norm_inverse':
      return lazily([latents], () => rowNorms(read('W_dec'), latents, dOut).map((norm) => 1 / norm));
    case 'ones':
      return make([1, dIn], () => 1);
    case 'averaging':
      return make([dIn, 1], () => 1 / dIn);
    case 'bessel':
      return make([1], () => Math.sqrt(dIn / (dIn - 1)));
    case 'epsilon':
      return make([1], () => 1e-5);
    case 'identity':
      return make([dIn, dIn], (at) => (at % (dIn + 1) === 0 ? 1 : 0));
    default:
      throw new Error(`a dictionary has no weight ${name}`);
  }
}

function rowNorms(data: Floats, rows: number, width: number): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let at = row * width; at < (row + 1) * width; at++) sum += (data[at] ?? 0) ** 2;
    return Math.sqrt(sum);
  });
}
