import { describe, expect, test } from 'vitest';
import { chooseNative } from '../kernels/index.ts';
import { checkConvolution, checkLayerNorm, checkMatmul, checkProjection, checkSoftmax } from './check-rows.ts';
import { asBf16, benchData, benchEntries } from './data.ts';
import { coldBytes, machineFacts, steeringVariables } from './machine.ts';
import { benchOperations, chosenOperations } from './operations.ts';
import { ownKernel, ownPublic, ownScreened } from './own-kernels.ts';

const choice = await chooseNative();
const reason = choice.kind === 'missing' ? ` (skipped: ${choice.reason})` : '';

describe('data', () => {
  test('are a function of index and stream alone, in [−1, 1), and spread evenly', () => {
    const long = benchData(20_000, 1);
    expect(benchData(100, 1)).toEqual(long.slice(0, 100));
    expect(benchData(100, 2)).not.toEqual(long.slice(0, 100));
    expect(Math.abs(long.reduce((a, b) => a + b, 0) / long.length)).toBeLessThan(0.02);
    expect(long.every((entry) => entry >= -1 && entry < 1)).toBe(true);
    // What another program must make of them.
    expect([...benchData(3, 1)]).toMatchInlineSnapshot(`
      [
        0.1467951536178589,
        0.17678749561309814,
        0.40826737880706787,
      ]
    `);
  });

  test('can be spread as a bell, with dimensions that tower, or held to what bf16 holds', () => {
    const bell = benchEntries('gaussian', 768 * 40, 1, 768);
    const mean = bell.reduce((a, b) => a + b, 0) / bell.length;
    const variance = bell.reduce((a, b) => a + (b - mean) ** 2, 0) / bell.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.03);
    const towering = benchEntries('outliers', 768 * 40, 1, 768);
    const columns = new Set([...towering.keys()].filter((at) => towering[at] !== bell[at]).map((at) => at % 768));
    expect([...columns].sort((a, b) => a - b)).toEqual([138, 394, 650]);
    expect(towering[138]).toBe(64 * (bell[138] as number));
    expect(benchEntries('bf16', 50, 1, 50)).toEqual(asBf16(benchData(50, 1)).values);
    expect(benchEntries('uniform', 50, 1, 50)).toEqual(benchData(50, 1));
    // What another program must make of them.
    expect([...benchEntries('gaussian', 2, 1, 768)]).toMatchInlineSnapshot(`
      [
        0.693570077419281,
        -0.2254931926727295,
      ]
    `);
  });

  test('in bf16 are the high half of each entry', () => {
    const { bits, values } = asBf16(Float32Array.of(1, -2.5, Math.fround(1 + 2 ** -8)));
    expect([...bits]).toEqual([0x3f80, 0xc020, 0x3f80]);
    expect([...values]).toEqual([1, -2.5, 1]);
  });
});

describe('a check', () => {
  const [x, w] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(1, 0, 0.5, -1)];

  test('of a product accepts its rows and refuses a wrong entry, a missing one and NaN', () => {
    const check = checkMatmul(x, w, 2, 2);
    expect(check([{ row: 1, values: [3 + 2, -4] }])).toEqual({ maxError: 0, ofBound: 0, checked: 2 });
    for (const values of [[5, -4.001], [5], [5, Number.NaN]])
      expect(check([{ row: 1, values }]).ofBound).toBeGreaterThan(1);
  });

  test('of a product allows for outputs in bf16 where somebody can give no others, and not for more', () => {
    const check = checkMatmul(x, w, 2, 2);
    const near = [{ row: 1, values: [5 * (1 + 2 ** -9), -4] }];
    expect(check(near).ofBound).toBeGreaterThan(1);
    expect(check(near, 'bf16').ofBound).toBeLessThanOrEqual(1);
    expect(check([{ row: 1, values: [5 * (1 + 2 ** -7), -4] }], 'bf16').ofBound).toBeGreaterThan(1);
  });

  test('of a projection refuses values in the wrong place, a column twice, and one that was left out', () => {
    // One token, columns 2 · (1, 3, 2) + bias 0 = 2 6 4; the best two are columns 1 and 2.
    const check = checkProjection(Float32Array.of(2), Float32Array.of(1, 3, 2), new Float32Array(3), 1, 2);
    expect(check([{ row: 0, values: [6, 4], indices: [1, 2] }]).ofBound).toBe(0);
    for (const [values, indices] of [
      [
        [6, 2],
        [1, 0],
      ],
      [
        [6, 6],
        [1, 1],
      ],
      [
        [4, 6],
        [1, 2],
      ],
      [
        [6, 4],
        [1, -1],
      ],
    ] as const)
      expect(check([{ row: 0, values, indices }]).ofBound, `${values} ${indices}`).toBeGreaterThan(1);
  });

  test('of softmax, norm and convolution knows small answers', () => {
    const even = checkSoftmax(new Float32Array(4), 4)([{ row: 0, values: [0.25, 0.25, 0.25, 0.25] }]);
    expect(even.ofBound).toBe(0);
    const norm = checkLayerNorm(Float32Array.of(1, 3), Float32Array.of(1, 2), Float32Array.of(0, 10), 0);
    expect(norm([{ row: 0, values: [-1, 12] }]).ofBound).toBeLessThan(1e-9);
    expect(norm([{ row: 0, values: [-1, 12.001] }]).ofBound).toBeGreaterThan(1);
    // One pixel in the middle of zeros: the kernel, turned around.
    const image = Float32Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0);
    const filter = Float32Array.from({ length: 9 }, (_, at) => at + 1);
    const convolution = checkConvolution(image, filter, { channels: 1, side: 3, filters: 1 });
    expect(convolution([{ row: 0, values: [9, 8, 7, 6, 5, 4, 3, 2, 1] }]).ofBound).toBe(0);
  });
});

describe('the declared list', () => {
  test('has names of its own, work, and is chosen from by name or beginning', () => {
    expect(new Set(benchOperations.map(({ name }) => name)).size).toBe(benchOperations.length);
    for (const { flops, bytes } of benchOperations) expect(flops >= 0 && bytes > 0).toBe(true);
    expect(chosenOperations(['sgemm']).map(({ name }) => name)).toEqual(
      [512, 1024, 2048, 4096].map((n) => `sgemm-${n}`),
    );
    expect(chosenOperations(['gemv-bf16', 'project-128'])).toHaveLength(2);
    expect(() => chosenOperations(['sgem'])).toThrow(expect.objectContaining({ code: 'unknown_operation' }));
  });

  // Those that take less than a second to make and check; the others differ in size alone.
  const small = ['sgemm-512', 'gemv-bf16', 'project-16-outliers', 'layer-norm', 'conv2d', 'attention'];
  test.skipIf(choice.kind === 'missing').each(chosenOperations(small))(
    `$name is right, from inside the addon and from TypeScript${reason}`,
    async (operation) => {
      if (choice.kind === 'missing') return;
      const signal = new AbortController().signal;
      const { flags } = machineFacts(choice.addon.info(), {}).cpu;
      for (const contender of [
        ownKernel(choice.addon, 'before'),
        ownKernel(choice.addon, 'inside'),
        ownScreened(choice.addon, 'bf16', flags),
        ownScreened(choice.addon, 'int8', flags),
        ownPublic(choice.addon),
      ]) {
        const setting = { threads: 2, regime: 'hot' as const, coldBytes: 0 };
        if (!contender.plays(operation, setting)) continue;
        const prepared = await contender.prepare(operation, setting);
        expect(await prepared.block(2, 1, signal)).toHaveLength(2);
        const { ofBound, checked } = operation.check(await prepared.rows([0, operation.rows - 1]));
        expect(checked).toBeGreaterThan(0);
        expect(ofBound).toBeLessThanOrEqual(1);
        await prepared.release();
      }
    },
  );
});

test('variables that steer libraries are told, others are not', () => {
  const env = {
    OMP_NUM_THREADS: '1',
    OPENBLAS_CORETYPE: 'Haswell',
    MKL_DYNAMIC: '0',
    HOME: '/home/x',
    COMPANY: 'OMPX',
  };
  expect(steeringVariables(env)).toEqual({ MKL_DYNAMIC: '0', OMP_NUM_THREADS: '1', OPENBLAS_CORETYPE: 'Haswell' });
});

test('walking over twice the last cache makes it cold', () => {
  expect(coldBytes({ caches: [] })).toBe(64 << 20);
  expect(coldBytes({ caches: [{ level: 3, kind: 'unified', bytes: 64 << 20 }] })).toBe(128 << 20);
});
