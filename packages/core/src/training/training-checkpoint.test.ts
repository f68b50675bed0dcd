import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { type TensorToWrite, writeSafetensors } from '../checkpoints/index.ts';
import { tensor } from '../tensor/index.ts';
import { readTrainingCheckpoint, type TrainingState, writeTrainingCheckpoint } from './training-checkpoint.ts';
import type { TrainingIdentity } from './training-identity.ts';

const folder = mkdtempSync(join(tmpdir(), 'training-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'checkpoint.safetensors');

const identity: TrainingIdentity = {
  recipe: 'r',
  seed: 3,
  steps: 10,
  config: { width: 2 },
  optimiser: {},
  schedule: {},
  every: { log: 1, evaluate: 2 },
  numerics: '1',
};
const shapes = new Map([['w', [2, 1]]]);
const state: TrainingState = {
  done: 7,
  logBytes: 123,
  weights: new Map([['w', tensor([2, 1], Float32Array.of(1 / 3, -0))]]),
  moments: new Map([['w', { first: Float32Array.of(1e-40, -2), second: Float32Array.of(0, 5) }]]),
};

function refusal(action: () => unknown): CircuitscopeError {
  try {
    action();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('what is written is read again to the bit, and equal states have equal files', () => {
  writeTrainingCheckpoint(path, identity, state);
  const bytes = readFileSync(path);
  const read = readTrainingCheckpoint(path, identity, shapes);
  expect(read).toEqual(state);
  expect(Object.is(read.weights.get('w')?.data[1], -0)).toBe(true);
  writeTrainingCheckpoint(path, identity, read);
  expect(readFileSync(path).equals(bytes)).toBe(true);
});

describe('another training', () => {
  test.each([
    ['seed', { ...identity, seed: 4 }],
    ['steps', { ...identity, steps: 11 }],
    ['config', { ...identity, config: { width: 3 } }],
    ['numerics', { ...identity, numerics: '1-reference-f32' }],
  ])('is refused by the %s that differs', (field, other) => {
    writeTrainingCheckpoint(path, identity, state);
    const { code, message } = refusal(() => readTrainingCheckpoint(path, other, shapes));
    expect(code).toBe('other_training');
    expect(message).toContain(`whose ${field} is`);
  });
});

describe('a hostile file', () => {
  const good = (): TensorToWrite[] =>
    ['weight', 'first', 'second'].map((kind) => ({
      name: `${kind}/w`,
      dtype: 'f32',
      shape: [2, 1],
      data: new Float32Array(2),
    }));
  const metadata = {
    format: 'circuitscope.training/1',
    identity:
      '{"config":{"width":2},"every":{"evaluate":2,"log":1},"numerics":"1","optimiser":{},"recipe":"r","schedule":{},"seed":3,"steps":10}',
    done: '7',
    logBytes: '0',
  };
  const write = (tensors: readonly TensorToWrite[], changed: { readonly [key: string]: string } = {}): void =>
    writeSafetensors(path, tensors, { ...metadata, ...changed });

  test('the file that the others are made from is good', () => {
    write(good());
    expect(readTrainingCheckpoint(path, identity, shapes).done).toBe(7);
  });

  test.each<[string, () => void, string]>([
    ['no format', () => write(good(), { format: 'other' }), 'another format'],
    ['a step beyond the end', () => write(good(), { done: '11' }), 'its done'],
    ['a step that is no number', () => write(good(), { done: '1e1' }), 'its done'],
    ['a negative log', () => write(good(), { logBytes: '-1' }), 'its logBytes'],
    ['a huge log', () => write(good(), { logBytes: '9'.repeat(40) }), 'its logBytes'],
    ['no identity', () => write(good(), { identity: '[]' }), 'of which training'],
    ['a tensor too few', () => write(good().slice(1)), 'other tensors'],
    [
      'a tensor too many',
      () => write([...good(), { name: 'x', dtype: 'f32', shape: [0], data: new Float32Array() }]),
      'other tensors',
    ],
    [
      'another shape',
      () => write(good().map((each) => ({ ...each, shape: [1, 2] }))),
      'weight/w is missing or of another shape',
    ],
    [
      'another type',
      () => write(good().map((each) => ({ ...each, dtype: 'f64', data: new Float64Array(2) }))),
      'weight/w is missing or of another shape',
    ],
    [
      'numbers that are not finite',
      () => write(good().map((each) => ({ ...each, data: Float32Array.of(0, Number.NaN) }))),
      'not finite',
    ],
    [
      'negative squares',
      () => write(good().map((each) => ({ ...each, data: Float32Array.of(-1, 0) }))),
      'negative squares',
    ],
  ])('%s is refused', (_, make, words) => {
    make();
    const { code, message } = refusal(() => readTrainingCheckpoint(path, identity, shapes));
    expect(code).toBe('bad_training_checkpoint');
    expect(message).toContain(words);
  });

  test('an identity nested a million deep is refused, not followed', () => {
    write(good(), { identity: '['.repeat(1e6) });
    expect(refusal(() => readTrainingCheckpoint(path, identity, shapes)).code).toBe('bad_training_checkpoint');
  });

  test('a file cut at any byte is refused', () => {
    write(good());
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(path, whole.subarray(0, length));
      expect(refusal(() => readTrainingCheckpoint(path, identity, shapes)).code).toBe('bad_safetensors');
    }
  });
});
