import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { Rng } from '../tensor/index.ts';
import { openLlama2c } from './llama2c.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readStored } from './read-stored.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-llama2c-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** dim 4, hidden 6, 2 layers, 2 heads of width 2, 1 key head, 3 tokens, context 5; entry i of the file is i. */
const header = [4, 6, 2, 2, 1, 3, 5];
const entries = 3 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + 5 + 5;
function write(ints: readonly number[], count: number): string {
  const path = join(root, 'm.bin');
  const floats = Float32Array.from({ length: count }, (_, i) => i);
  writeFileSync(path, Buffer.concat([Buffer.from(Int32Array.from(ints).buffer), Buffer.from(floats.buffer)]));
  return path;
}
const refusal = (ints: readonly number[], count = entries): string => {
  const path = write(ints, count);
  try {
    openLlama2c(path);
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'bad_llama2c') return error.message;
    throw error;
  }
  return 'opened';
};

describe('openLlama2c', () => {
  test('tensors follow each other in the order of the format, layer by layer inside each', () => {
    const { tensors, config } = openLlama2c(write(header, entries));
    expect(config).toEqual({
      dim: 4,
      hidden_dim: 6,
      n_layers: 2,
      n_heads: 2,
      n_kv_heads: 1,
      vocab_size: 3,
      seq_len: 5,
      tied: true,
    });
    const first = (name: string) => readStored(tensors.get(name)!)[0];
    expect(tensors.get('wk.1')!.shape).toEqual([2, 4]);
    expect(tensors.get('w2.0')!.shape).toEqual([4, 6]);
    // 12 embedding, 2·4 norms, 2·16 wq, 2·8 wk …
    expect([first('token_embedding_table'), first('rms_att_weight.0'), first('rms_att_weight.1')]).toEqual([0, 12, 16]);
    expect([first('wq.0'), first('wq.1'), first('wk.0'), first('wk.1'), first('wv.0')]).toEqual([20, 36, 52, 60, 68]);
    expect(first('freq_cis_imag')).toBe(entries - 5);
    expect(tensors.has('wcls')).toBe(false);
  });

  test('a negative vocabulary says that the classifier is a matrix of its own, at the end', () => {
    const { tensors, config } = openLlama2c(write([4, 6, 2, 2, 1, -3, 5], entries + 12));
    expect(config).toMatchObject({ vocab_size: 3, tied: false });
    expect(tensors.get('wcls')!.shape).toEqual([3, 4]);
    expect(readStored(tensors.get('wcls')!)[0]).toBe(entries);
  });

  test('a length that differs by one number, sizes that do not fit and the later format are refused', () => {
    expect(refusal(header)).toBe('opened');
    expect(refusal(header, entries + 1)).toMatch(/length disagree/);
    expect(refusal(header, entries - 1)).toMatch(/length disagree/);
    expect(refusal([4, 6, 2, 2, 1, -3, 5])).toMatch(/length disagree/);
    for (let i = 0; i < 7; i++) expect(refusal(header.with(i, 0)), String(i)).toMatch(/not positive/);
    for (let i = 0; i < 7; i++) expect(refusal(header.with(i, 2 ** 31 - 1)), String(i)).not.toBe('opened');
    for (let i = 0; i < 7; i++) expect(refusal(header.with(i, -(2 ** 31))), String(i)).not.toBe('opened');
    expect(refusal(header.with(0, 5))).toMatch(/evenly/);
    expect(refusal([6, 6, 2, 2, 1, 3, 5])).toMatch(/evenly/); // heads of width 3 cannot rotate
    expect(refusal([12, 6, 2, 3, 2, 3, 5])).toMatch(/key heads/);
    expect(refusal(header.with(0, 0x616b3432))).toMatch(/later version/);
    expect(refusal([], 3)).toMatch(/too short/);
  });

  test('300 random headers over a small file are all refused', () => {
    const random = new Rng(7, 'llama2c.headers');
    for (let round = 0; round < 300; round++) {
      const ints = header.map((value) => (random.below(2) ? value : random.uint32() >> random.below(32)));
      if (ints.some((value, i) => value !== header[i])) expect(refusal(ints)).not.toBe('opened');
    }
  });
});

describe.skipIf(!hasShared)(`stories260K${withoutShared}`, () => {
  test('opens by its header, to the last byte, with the recorded sizes', async () => {
    const checkpoint = openCheckpoint(join(shared, 'data/lm/stories260K/stories260K.bin'));
    expect(checkpoint.kind).toBe('llama2c');
    expect(checkpoint.config).toEqual({
      dim: 64,
      hidden_dim: 172,
      n_layers: 5,
      n_heads: 8,
      n_kv_heads: 4,
      vocab_size: 512,
      seq_len: 512,
      tied: true,
    });
    expect(checkpoint.tensors.size).toBe(1 + 5 * 9 + 3);
    expect(await checkpoint.contentHash()).toMatch(/^sha256:/);
    // The rotary tables stand where they should: cos of position 0 is 1, sin is 0; position 1 turns the first pair by 1.
    const cos = readStored(checkpoint.tensors.get('freq_cis_real')!);
    const sin = readStored(checkpoint.tensors.get('freq_cis_imag')!);
    expect([...cos.subarray(0, 4)]).toEqual([1, 1, 1, 1]);
    expect([...sin.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect(cos[4]).toBeCloseTo(Math.cos(1), 6);
    expect(sin[4]).toBeCloseTo(Math.sin(1), 6);
  });
});
