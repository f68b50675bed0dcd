import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Site } from '@circuitscope/schema';
import type { Weight, Weights } from '../plan/index.ts';

/** How latents come from pre-activations p; the README has each formula. */
export type Encoder =
  | { readonly kind: 'relu' }
  /** `rectified`: SAELens's, which is 0 below 0 whatever the threshold; without it, circuit-tracer's p·[p > θ]. */
  | { readonly kind: 'jumprelu'; readonly rectified: boolean }
  /** `byDecoderNorm`: the k largest p·‖W_dec[i]‖, which are the latents then; the decoder divides by the norm again. */
  | { readonly kind: 'topk'; readonly k: number; readonly byDecoderNorm: boolean }
  | { readonly kind: 'gated' };

/** Everything of a dictionary but its numbers. */
export interface DictionarySpec {
  readonly encoder: Encoder;
  /** Width of what it reads; heads × head width where `heads`. */
  readonly dIn: number;
  /** Width of what it reconstructs; equal to `dIn` unless it is a transcoder. */
  readonly dOut: number;
  readonly latents: number;
  /** b_dec is subtracted from the input. */
  readonly centred: boolean;
  /** What the input is divided by, row by row; the reconstruction is scaled back, except by transcoders. */
  readonly normalization: 'none' | 'constant_norm' | 'layer_norm';
  /** Reads [heads, width] of each position as one vector, as at `hook_z`. */
  readonly heads: boolean;
  /** Reads one site and reconstructs another. */
  readonly transcoder: boolean;
  /** Adds x·W_skip to the reconstruction. */
  readonly skip: boolean;
  /** Where it was trained to read and what to reconstruct, as its file says; null where it does not. */
  readonly reads: Site | null;
  readonly writes: Site | null;
}

/**
 * A sparse dictionary: latents f of an activation, and directions that they are summed along. Weights have the names of
 * {@link dictionaryShapes}; matrices are [K, N], multiplied from the right.
 */
export interface Dictionary extends DictionarySpec {
  readonly kind: 'dictionary';
  /** Where it came from, for messages and listings. */
  readonly name: string;
  readonly weights: Weights;
  /** What it computes, wherever it lies. */
  contentHash(): Promise<Hash>;
}

/** Shapes of the weights that a dictionary has. */
export function dictionaryShapes(spec: DictionarySpec): ReadonlyMap<string, readonly number[]> {
  const { encoder, dIn, dOut, latents, skip } = spec;
  const shapes: [string, readonly number[]][] = [
    ['W_enc', [dIn, latents]],
    ['W_dec', [latents, dOut]],
    ['b_dec', [dOut]],
  ];
  if (encoder.kind === 'gated') shapes.push(['b_gate', [latents]], ['b_mag', [latents]], ['r_mag', [latents]]);
  else shapes.push(['b_enc', [latents]]);
  if (encoder.kind === 'jumprelu') shapes.push(['threshold', [latents]]);
  if (skip) shapes.push(['W_skip', [dIn, dOut]]);
  return new Map(shapes);
}

/**
 * A dictionary over any weights: of a file, of arrays, of a training.
 * @param origin for messages; and how to name the content, where that is not simply the weights as they are now
 * @throws CircuitscopeError `bad_dictionary`, `missing_tensor`, `shape_mismatch`
 */
export function makeDictionary(
  spec: DictionarySpec,
  weights: Weights,
  origin: { readonly name: string; readonly contentHash?: () => Promise<Hash> },
): Dictionary {
  checkSpec(spec, origin.name);
  for (const [name, shape] of dictionaryShapes(spec)) {
    const weight = weights.get(name);
    if (!weight)
      throw new CircuitscopeError('missing_tensor', `${origin.name} lacks the tensor ${name}.`, {
        at: origin.name,
        expected: name,
      });
    if (weight.shape.join() !== shape.join()) throw shapeMismatch(`${origin.name}: ${name}`, shape, weight.shape);
  }
  const contentHash = origin.contentHash ?? (async () => hashWeights(spec, weights));
  return { kind: 'dictionary', ...spec, name: origin.name, weights, contentHash };
}

function checkSpec(spec: DictionarySpec, at: string): void {
  const bad = (what: string): never => {
    throw new CircuitscopeError('bad_dictionary', `${at}: ${what}.`, { at });
  };
  for (const size of [spec.dIn, spec.dOut, spec.latents])
    if (!Number.isInteger(size) || size < 1) bad(`its sizes are whole numbers above 0, not ${size}`);
  const { encoder } = spec;
  if (encoder.kind === 'topk' && !(Number.isInteger(encoder.k) && encoder.k >= 1 && encoder.k <= spec.latents))
    bad(`it keeps k of ${spec.latents} latents, and k cannot be ${encoder.k}`);
  if (!spec.transcoder && spec.dOut !== spec.dIn) bad('only a transcoder reconstructs another width than it reads');
  if (spec.transcoder && spec.centred) bad('a transcoder cannot subtract the bias of its output from its input');
  if (spec.transcoder && spec.heads) bad('a transcoder reads whole vectors, not heads');
  if (spec.skip && !spec.transcoder) bad('a skip connection belongs to a transcoder');
}

export function shapeMismatch(at: string, expected: readonly number[], got: readonly number[]): CircuitscopeError {
  return new CircuitscopeError(
    'shape_mismatch',
    `${at} has shape [${got.join(', ')}], not [${expected.join(', ')}] as the other sizes call for.`,
    { at, expected: expected.join(' × '), got: got.join(' × ') },
  );
}

/** sha256 over the description and the weights in float32, in the order of their names. */
function hashWeights(spec: DictionarySpec, weights: Weights): Hash {
  const hash = createHash('sha256').update(`${canonicalJson({ ...spec })}\n`);
  for (const name of [...dictionaryShapes(spec).keys()].sort()) {
    const weight = weights.get(name);
    if (weight) hash.update(`${name}\n`).update(bytesOf(weight));
  }
  return `sha256:${hash.digest('hex')}`;
}

function bytesOf(weight: Weight): Uint8Array {
  const data = Float32Array.from(weight.read());
  return new Uint8Array(data.buffer);
}
