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
  const run = (inputs: { [name: string]: NativeArray }, outputs: readonly string[] = ['y'], n = 3) =>
    addon.execute(
      new addon.NativeProgram(double('n')),
      new addon.NativeStore(),
      { n },
      inputs,
      outputs,
      {},
      new addon.NativeRun(),
    );

  test('a run gives its outputs and counts its steps', async () => {
    const progress = new addon.NativeRun();
    const x = Float32Array.of(1, 2.5, -4);
    const program = new addon.NativeProgram(double('n'));
    const { y } = await addon.execute(
      program,
      new addon.NativeStore(),
      { n: 3 },
      { x },
      ['y'],
      { threads: 2 },
      progress,
    );
    expect(y).toEqual(Float32Array.of(2, 5, -8));
    expect(progress.progress()).toBe(1);
  });

  test('inputs may change as soon as the call has returned', async () => {
    const x = Float32Array.of(1, 2, 3);
    const done = run({ x });
    x.fill(100);
    expect((await done).y).toEqual(Float32Array.of(2, 4, 6));
  });

  test('large outputs hold their memory alone: later runs, and changes of one, leave the others as they are', async () => {
    const n = 9 << 20;
    const x = Float32Array.from({ length: n }, (_, at) => at % 1000);
    const { y: first } = await run({ x }, ['y'], n);
    x.fill(7);
    const { y: second } = await run({ x }, ['y'], n);
    if (!first || !second) throw new Error('no output');
    expect([first.length, first[999], first[n - 1], second[999]]).toEqual([n, 1998, 2 * ((n - 1) % 1000), 14]);
    first.fill(0);
    expect([second[0], second[n - 1], second.buffer.byteLength]).toEqual([14, 14, 4 * n]);
  });

  test('two outputs in one place are two arrays, of a large run too', async () => {
    const n = 5 << 20;
    const twice = JSON.parse(double('n'));
    twice.outputs.push({ name: 'z', value: 1 });
    const program = new addon.NativeProgram(JSON.stringify(twice));
    const x = new Float32Array(n).fill(3);
    const out = await addon.execute(
      program,
      new addon.NativeStore(),
      { n },
      { x },
      ['y', 'z'],
      {},
      new addon.NativeRun(),
    );
    out.y?.fill(0);
    expect([out.y?.[n - 1], out.z?.[0], out.z?.[n - 1]]).toEqual([0, 6, 6]);
  });

  test('every mistake of a call is an Error with a code and a sentence', async () => {
    const x = new Float32Array(3);
    const refused = { code: 'bad_input', message: expect.stringMatching(/\.$/) };
    await expect(run({})).rejects.toMatchObject(refused);
    await expect(run({ x }, ['z'])).rejects.toMatchObject(refused);
    await expect(run({ x }, ['y', 'y'])).resolves.toBeTruthy();
    await expect(run({ x, z: x })).rejects.toMatchObject(refused);
    await expect(run({ x: new Int32Array(3) })).rejects.toMatchObject(refused);
    await expect(run({ x }, ['y'], -1)).rejects.toMatchObject(refused);
    expect(() => new addon.NativeProgram('[]')).toThrow(expect.objectContaining({ code: 'bad_program' }));
  });

  test('what a timed program gave is copied into arrays that fit', async () => {
    const call = addon.timed(
      new addon.NativeProgram(double('n')),
      new addon.NativeStore(),
      { n: 3 },
      { x: Float32Array.of(1, 2, 3) },
      {},
    );
    await call.measure({ warmUp: 0, samples: 1, coldBytes: 0, repack: false }, new addon.NativeRun());
    const y = new Float32Array(3);
    call.read({ y });
    expect([...y]).toEqual([2, 4, 6]);
    const refused = expect.objectContaining({ code: 'bad_input', message: expect.stringMatching(/\.$/) });
    const shrunk = new Float32Array(new ArrayBuffer(12, { maxByteLength: 16 }));
    (shrunk.buffer as ArrayBuffer).resize(4);
    for (const wrong of [new Float32Array(2), new Int32Array(3), shrunk])
      expect(() => call.read({ y: wrong })).toThrow(refused);
    expect(() => call.read({ z: y })).toThrow(refused);
    call.release();
  });

  test('nothing to compute is computed', async () => {
    await expect(run({ x: new Float32Array(0) }, ['y'], 0)).resolves.toEqual({ y: new Float32Array(0) });
  });
});
