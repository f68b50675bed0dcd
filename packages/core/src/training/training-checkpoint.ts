import { CircuitscopeError, canonicalJson } from '@circuitscope/schema';
import { readSafetensorsHeader, readStored, type StoredTensor, writeSafetensors } from '../checkpoints/index.ts';
import { parseJson } from '../checkpoints/parse-json.ts';
import { sameShape, type Tensor } from '../tensor/index.ts';
import type { Moments } from './optimiser.ts';
import type { TrainingIdentity } from './training-identity.ts';

/** Where a training stands: all that the next step reads. */
export interface TrainingState {
  readonly done: number;
  /** Length of the log when this was written. */
  readonly logBytes: number;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly moments: ReadonlyMap<string, Moments>;
}

const FORMAT = 'circuitscope.training/1';
const kinds = ['weight', 'first', 'second'] as const;

/** Written beside and renamed into place: a process that dies leaves the previous one whole. */
export function writeTrainingCheckpoint(path: string, identity: TrainingIdentity, state: TrainingState): void {
  const tensors = [...state.weights].flatMap(([name, { shape, data }]) => {
    const moments = state.moments.get(name);
    const parts = { weight: data, first: moments?.first ?? data, second: moments?.second ?? data };
    return kinds.map((kind) => ({ name: `${kind}/${name}`, dtype: 'f32' as const, shape, data: parts[kind] }));
  });
  writeSafetensors(path, tensors, {
    format: FORMAT,
    identity: canonicalJson(identity),
    done: String(state.done),
    logBytes: String(state.logBytes),
  });
}

/**
 * @param shapes the weights that the recipe trains
 * @throws CircuitscopeError `bad_training_checkpoint` for a file that is no such state, `other_training` for one of another
 *   recipe, seed, length or executor
 */
export function readTrainingCheckpoint(
  path: string,
  identity: TrainingIdentity,
  shapes: ReadonlyMap<string, readonly number[]>,
): TrainingState {
  const { tensors, metadata } = readSafetensorsHeader(path);
  const format = metadata.get('format');
  if (format !== FORMAT) throw bad(path, 'it is of another format', FORMAT, shown(format));
  checkIdentity(path, identity, metadata.get('identity'));
  const done = wholeNumber(path, 'done', metadata.get('done'), identity.steps);
  const logBytes = wholeNumber(path, 'logBytes', metadata.get('logBytes'), Number.MAX_SAFE_INTEGER);
  // Names, types and shapes are those of the recipe before any data are read: so sizes are too.
  const found = new Map(tensors.map((stored) => [stored.name, stored]));
  if (found.size !== kinds.length * shapes.size) {
    throw bad(path, 'it holds other tensors', `${kinds.length * shapes.size} tensors`, `${found.size}`);
  }
  const stored = (name: string, shape: readonly number[]): StoredTensor => {
    const tensor = found.get(name);
    if (tensor?.dtype === 'f32' && sameShape(tensor.shape, shape)) return tensor;
    const got = tensor ? `${tensor.dtype} [${tensor.shape.join(', ')}]` : 'nothing';
    throw bad(path, `${name} is missing or of another shape`, `f32 [${shape.join(', ')}]`, got);
  };
  const expected = [...shapes].flatMap(([name, shape]) => kinds.map((kind) => stored(`${kind}/${name}`, shape)));
  const values = new Map(expected.map((tensor) => [tensor.name, finiteValues(path, tensor)]));
  const weights = new Map<string, Tensor>();
  const moments = new Map<string, Moments>();
  for (const [name, shape] of shapes) {
    const part = (kind: (typeof kinds)[number]): Float32Array => values.get(`${kind}/${name}`) ?? new Float32Array();
    if (part('second').some((value) => value < 0))
      throw bad(path, `second/${name} holds negative squares`, 'from 0', 'less');
    weights.set(name, { shape, data: part('weight') });
    moments.set(name, { first: part('first'), second: part('second') });
  }
  return { done, logBytes, weights, moments };
}

function checkIdentity(path: string, identity: TrainingIdentity, text: string | undefined): void {
  const expected = canonicalJson(identity);
  if (text === expected) return;
  const found = identityFields(path, text ?? '');
  const differs = Object.entries(identity).find(
    ([key, value]) => canonicalJson(found[key] ?? null) !== canonicalJson(value),
  );
  const [key, value] = differs ?? ['identity', identity.recipe];
  throw new CircuitscopeError(
    'other_training',
    `${path} belongs to a training whose ${key} is ${shown(found[key])}, not ${shown(value)}; resume that one, or train in another folder.`,
    { at: `${path}: ${key}`, expected: shown(value), got: shown(found[key]) },
  );
}

function identityFields(path: string, text: string): { readonly [key: string]: unknown } {
  const value = parseJson(new TextEncoder().encode(text), { code: 'bad_training_checkpoint', at: path });
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw bad(path, 'it does not say of which training it is', 'an identity', shown(text));
}

function wholeNumber(path: string, name: string, text: string | undefined, most: number): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value <= most) return value;
  throw bad(path, `its ${name} is no number of this training`, `0 to ${most}`, shown(text));
}

function finiteValues(path: string, stored: StoredTensor): Float32Array {
  const values = readStored(stored);
  if (values.every(Number.isFinite)) return values;
  throw bad(path, `${stored.name} holds numbers that are not finite`, 'finite numbers', 'NaN or ∞');
}

const shown = (value: unknown): string =>
  value === undefined ? 'nothing' : (JSON.stringify(value) ?? '').slice(0, 80);

function bad(path: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_training_checkpoint',
    `${path} is not the state of this training: ${what}; train anew in another folder.`,
    { at: path, expected, got },
  );
}
