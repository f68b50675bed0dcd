import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { hashFile } from './checkpoint.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readStored, readStoredFloat64 } from './read-stored.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';
import { writeSafetensors } from './write-safetensors.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-checkpoints-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const codeOf = (open: () => unknown): string => {
  try {
    open();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'opened';
};

let folders = 0;
/** A directory with config.json, the given text files and one shard `name.safetensors` for each list of tensor names. */
function model(files: Record<string, string>, shards: Record<string, string[]> = {}): string {
  const path = join(root, `m${folders++}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries({ 'config.json': '{"model_type":"x"}', ...files }))
    writeFileSync(join(path, name), text);
  for (const [name, names] of Object.entries(shards)) {
    writeSafetensors(
      join(path, name),
      names.map((tensor, i) => ({ name: tensor, dtype: 'f32', shape: [1], data: Float32Array.of(i + 1) })),
    );
  }
  return path;
}
const index = (map: Record<string, unknown>) => ({
  'model.safetensors.index.json': JSON.stringify({ weight_map: map }),
});

describe('openCheckpoint', () => {
  test('a directory gives its weights from the file, and the file alone gives the same', async () => {
    const path = model({}, { 'model.safetensors': ['b', 'a'] });
    const opened = openCheckpoint(path);
    expect(opened.kind).toBe('huggingface');
    expect(opened.config).toEqual({ model_type: 'x' });
    expect([...opened.tensors.keys()]).toEqual(['a', 'b']);
    expect(readStored(opened.tensors.get('a')!)).toEqual(Float32Array.of(2));
    const alone = openCheckpoint(join(path, 'model.safetensors'));
    expect(await alone.contentHash()).toBe(await opened.contentHash());
  });

  test('the content hash follows weights and configuration, not the place', async () => {
    const hashes = [
      model({}, { 'model.safetensors': ['a'] }),
      model({}, { 'model.safetensors': ['a'] }),
      model({}, { 'model.safetensors': ['b'] }),
      model({ 'config.json': '{"model_type":"y"}' }, { 'model.safetensors': ['a'] }),
    ].map((path) => openCheckpoint(path).contentHash());
    const [first, same, weights, config] = await Promise.all(hashes);
    expect(first).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(same).toBe(first);
    expect(new Set([first, weights, config]).size).toBe(3);
  });

  test('shards are read through the index, and index and shards must agree', () => {
    const shards = { 's1.safetensors': ['a'], 's2.safetensors': ['b', 'c'] };
    const good = { a: 's1.safetensors', b: 's2.safetensors', c: 's2.safetensors' };
    expect([...openCheckpoint(model(index(good), shards)).tensors.keys()]).toEqual(['a', 'b', 'c']);
    const refused = (map: Record<string, unknown>) => codeOf(() => openCheckpoint(model(index(map), shards)));
    expect(refused({ ...good, d: 's2.safetensors' })).toMatch(/bad_safetensors.*"d".*missing/);
    expect(refused({ a: 's1.safetensors', b: 's2.safetensors' })).toMatch(/bad_safetensors.*"c".*not listed/);
    expect(refused({ ...good, a: 's2.safetensors' })).toMatch(/bad_safetensors/);
    expect(refused({ ...good, e: 's3.safetensors' })).toMatch(/missing_file.*s3/);
  });

  test('no name in an index leads out of the directory', () => {
    const outside = model({}, { 'model.safetensors': ['a'] });
    for (const name of [
      '../m0/model.safetensors',
      join(outside, 'model.safetensors'),
      'sub/model.safetensors',
      'sub\\model.safetensors',
      '..\\model.safetensors',
      'C:model.safetensors',
      '..',
      '',
      '.safetensors',
      'a\u0000.safetensors',
      'config.json',
      7,
      null,
      ['model.safetensors'],
    ]) {
      expect(
        codeOf(() => openCheckpoint(model(index({ a: name })))),
        String(name),
      ).toMatch(/bad_safetensors.*bare .safetensors/);
    }
  });

  test('a link to a regular file is followed, as in the cache of the hub; a link to anything else is refused', () => {
    const blob = model({}, { 'model.safetensors': ['a'] });
    const snapshot = model({});
    symlinkSync(join(blob, 'model.safetensors'), join(snapshot, 'model.safetensors'));
    expect([...openCheckpoint(snapshot).tensors.keys()]).toEqual(['a']);
    const device = model({});
    symlinkSync('/dev/zero', join(device, 'model.safetensors'));
    expect(codeOf(() => openCheckpoint(device))).toMatch(/bad_file.*not a regular file/);
    const directory = model({});
    symlinkSync(blob, join(directory, 'model.safetensors'));
    expect(codeOf(() => openCheckpoint(directory))).toMatch(/bad_file/);
  });

  test('a pickle that torch.save did not write is refused under every name, with the way out', () => {
    const path = model({ 'pytorch_model.bin': 'x' });
    expect(codeOf(() => openCheckpoint(path))).toMatch(/bad_pytorch.*neither a zip archive nor a legacy file/);
    for (const [name, bytes, code] of [
      ['a.bin', [0x50, 0x4b, 3, 4, 0, 0], /bad_zip/],
      ['b.bin', [0x80, 2, 0x8a, 0x0a, 1], /bad_pytorch.*magic number/],
      ['c.pt', [1, 2, 3, 4], /pickle_refused.*convert it to safetensors/],
      ['d.pth', [], /pickle_refused/],
      ['e.pkl', [0x80, 4, 0x95], /pickle_refused/],
      ['f.bin', [0x80, 5, 0x95], /pickle_refused/],
      ['pytorch_model-00001-of-00002.bin', [0x50, 0x4b, 3, 4], /one shard of several/],
    ] as const) {
      writeFileSync(join(path, name), Uint8Array.from(bytes));
      expect(
        codeOf(() => openCheckpoint(join(path, name))),
        name,
      ).toMatch(code);
    }
  });

  test('what is no model is refused with what would be one', () => {
    const path = model({ 'notes.txt': 'hello', 'model-00001-of-00002.safetensors': '' });
    expect(codeOf(() => openCheckpoint(join(path, 'nowhere')))).toMatch(/missing_file/);
    expect(codeOf(() => openCheckpoint(path))).toMatch(/missing_file.*no model.safetensors/);
    expect(codeOf(() => openCheckpoint(join(path, 'notes.txt')))).toMatch(/unsupported_checkpoint/);
    expect(codeOf(() => openCheckpoint(join(path, 'model-00001-of-00002.safetensors')))).toMatch(
      /one shard of several/,
    );
  });

  test('configurations and indices that are no object, too deep or too large are refused', () => {
    const shards = { 'model.safetensors': ['a'] };
    for (const config of [
      '[]',
      '3',
      'null',
      '',
      '{',
      '{"a":1,"a":1}',
      '{"a":'.repeat(100_000),
      '['.repeat(3_000_000),
    ]) {
      expect(
        codeOf(() => openCheckpoint(model({ 'config.json': config }, shards))),
        config.slice(0, 20),
      ).toMatch(/bad_config/);
    }
    const large = `{"a":"${'x'.repeat(4_000_000)}"}`;
    expect(codeOf(() => openCheckpoint(model({ 'config.json': large }, shards)))).toMatch(/too_large/);
    for (const text of ['[]', '{}', '{"weight_map":[]}', '{"weight_map":{"a":"s.safetensors","a":"s.safetensors"}}']) {
      expect(
        codeOf(() => openCheckpoint(model({ 'model.safetensors.index.json': text }))),
        text,
      ).toMatch(/bad_safetensors/);
    }
    const proto = '{"weight_map":{"__proto__":"s.safetensors"}}';
    expect(
      codeOf(() =>
        openCheckpoint(model({ 'model.safetensors.index.json': proto }, { 's.safetensors': ['__proto__'] })),
      ),
    ).toBe('opened');
  });

  test('a file that was shortened after it was opened gives an error, not zeros', () => {
    const path = model({}, { 'model.safetensors': ['a', 'b'] });
    const tensor = openCheckpoint(path).tensors.get('b')!;
    const file = join(path, 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -1));
    expect(codeOf(() => readStored(tensor))).toMatch(/truncated/);
  });
});

describe.skipIf(!hasShared)(`real checkpoints${withoutShared}`, () => {
  const golden = join(shared, 'golden');
  const containers = join(golden, 'formats/gpt2-containers');

  test('every safetensors file of the golden set reads, and its tensors fill its bytes', () => {
    let count = 0;
    for (const path of readdirSync(golden, { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.safetensors')) continue;
      const { tensors } = readSafetensorsHeader(join(golden, path));
      const last = tensors.at(-1)!;
      expect(last.byteOffset + last.byteLength, path).toBe(statSync(join(golden, path)).size);
      for (const tensor of tensors) readStoredFloat64(tensor);
      count++;
    }
    expect(count).toBeGreaterThan(100);
  });

  test('every golden model opens with configuration and weights, and its files hash to the recorded digests', async () => {
    const recorded = new Map(
      readFileSync(join(golden, 'MANIFEST.tsv'), 'utf8')
        .split('\n')
        .map((line) => line.split('\t').slice(0, 2) as [string, string]),
    );
    const opened = readdirSync(join(golden, 'models')).filter(
      (name) => codeOf(() => openCheckpoint(join(golden, 'models', name))) === 'opened',
    );
    expect(opened.length).toBeGreaterThanOrEqual(36); // vgg has no config.json
    for (const name of ['gpt2', 'gpt2-inverse-layer-scale', 'llama', 'llama-bias-headdim']) {
      const checkpoint = openCheckpoint(join(golden, 'models', name));
      for (const { path } of checkpoint.files)
        expect(await hashFile(path)).toBe(recorded.get(path.slice(golden.length + 1)));
      expect(checkpoint.tensors.size).toBeGreaterThan(10);
    }
  });

  test('shards hold what the single file holds; bf16 and f16 hold it rounded', () => {
    const reference = openCheckpoint(join(containers, 'reference')).tensors;
    const sharded = openCheckpoint(join(containers, 'sharded'));
    expect([...sharded.tensors.keys()].sort()).toEqual([...reference.keys()].sort());
    expect(sharded.files.length).toBe(6);
    for (const [name, tensor] of reference) {
      const values = readStored(tensor);
      expect(readStored(sharded.tensors.get(name)!)).toEqual(values);
      for (const [container, relative] of [
        ['bf16', 2 ** -8],
        ['f16', 2 ** -11],
      ] as const) {
        const rounded = readStored(openCheckpoint(join(containers, container)).tensors.get(name)!);
        expect(rounded.length).toBe(values.length);
        for (let i = 0; i < values.length; i++) {
          const bound = Math.max(Math.abs(values[i]!) * relative, container === 'f16' ? 2 ** -25 : 0);
          if (Math.abs(rounded[i]! - values[i]!) > bound)
            throw new Error(`${container} ${name}[${i}]: ${rounded[i]} for ${values[i]}`);
        }
      }
    }
  });

  test('files of other writers read: order that is not sorted, integers, scalars', () => {
    const folder = join(shared, 'data/formats/safetensors');
    const codes = readSafetensorsHeader(join(folder, 'jfk-codes.safetensors')).tensors[0]!;
    expect([codes.name, codes.dtype, codes.shape]).toEqual(['codes', 'i64', [1, 2, 828]]);
    const values = readStoredFloat64(codes);
    expect(values.every((value) => Number.isInteger(value) && value >= 0 && value < 1024)).toBe(true);
    expect(codeOf(() => readStored(codes))).toMatch(/unsupported_dtype/);
    const layers = new Map(
      readSafetensorsHeader(join(folder, 'multi_layer.safetensors')).tensors.map((t) => [t.name, t]),
    );
    expect(layers.get('conv1.weight')!.shape).toEqual([4, 3, 3, 3]);
    expect(layers.get('norm1.num_batches_tracked')!.shape).toEqual([]);
    expect(readStored(layers.get('conv1.bias')!).every(Number.isFinite)).toBe(true);
  });
});
