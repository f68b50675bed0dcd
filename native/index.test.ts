import { describe, expect, test } from 'vitest';
import { loadNative, type NativeAddon, type NativeArray } from './index.ts';

const loaded = loadNative();
// Without Rust there is no addon, and the reference executor serves; the build says so.
const reason = 'missing' in loaded ? ` (skipped: ${loaded.missing})` : '';

const double = (length: string): string =>
  JSON.stringify({
    version: 1,
    values: [
      { shape: [length], dtype: 'f32', slot: 0 },
      { shape: [length], dtype: 'f32', slot: 1 },
    ],
    slots: 2,
    inputs: [{ name: 'x', value: 0 }],
    params: [],
    steps: [{ kernel: 'sum', in: [0, 0], out: [1], params: [], attrs: {} }],
    outputs: [{ name: 'y', value: 1 }],
  });

test('what is loaded is an addon or a reason, the same each time', () => {
  expect(loadNative()).toBe(loaded);
  if ('missing' in loaded) expect(loaded.missing.length).toBeGreaterThan(10);
  else expect(loaded.info().isas).toContain(loaded.info().isa);
});

describe.skipIf('missing' in loaded)(`the addon${reason}`, () => {
  const addon = loaded as NativeAddon;
  const run = (inputs: { [name: string]: NativeArray }, outputs: { [name: string]: NativeArray }, n = 3) =>
    addon.execute(
      new addon.NativeProgram(double('n')),
      new addon.NativeStore(),
      { n },
      inputs,
      outputs,
      {},
      new addon.NativeRun(),
    );

  test('a run writes its outputs and counts its steps', async () => {
    const progress = new addon.NativeRun();
    const y = new Float32Array(3);
    const x = Float32Array.of(1, 2.5, -4);
    const program = new addon.NativeProgram(double('n'));
    await addon.execute(program, new addon.NativeStore(), { n: 3 }, { x }, { y }, { threads: 2 }, progress);
    expect([...y]).toEqual([2, 5, -8]);
    expect(progress.progress()).toBe(1);
  });

  test('inputs may change as soon as the call has returned', async () => {
    const [x, y] = [Float32Array.of(1, 2, 3), new Float32Array(3)];
    const done = run({ x }, { y });
    x.fill(100);
    await done;
    expect([...y]).toEqual([2, 4, 6]);
  });

  test('every mistake of a call is an Error with a code and a sentence', async () => {
    const [x, y] = [new Float32Array(3), new Float32Array(3)];
    const refused = { code: 'bad_input', message: expect.stringMatching(/\.$/) };
    await expect(run({}, { y })).rejects.toMatchObject(refused);
    await expect(run({ x }, { z: y })).rejects.toMatchObject(refused);
    await expect(run({ x, z: x }, { y })).rejects.toMatchObject(refused);
    await expect(run({ x }, { y: new Float32Array(2) })).rejects.toMatchObject(refused);
    await expect(run({ x: new Int32Array(3) }, { y })).rejects.toMatchObject(refused);
    await expect(run({ x }, { y }, -1)).rejects.toMatchObject(refused);
    expect(() => new addon.NativeProgram('[]')).toThrow(expect.objectContaining({ code: 'bad_program' }));
  });

  test('arrays of a resizable buffer that shrinks under a run are refused', async () => {
    const buffer = new ArrayBuffer(12, { maxByteLength: 16 });
    const y = new Float32Array(buffer);
    const done = run({ x: new Float32Array(3) }, { y });
    buffer.resize(4);
    await expect(done).rejects.toMatchObject({ code: 'bad_input' });
  });

  test('nothing to compute is computed', async () => {
    await expect(run({ x: new Float32Array(0) }, { y: new Float32Array(0) }, 0)).resolves.toBeUndefined();
  });
});
