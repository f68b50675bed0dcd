import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Tensor, tensor } from '../../tensor/index.ts';
import type { KernelAttributes, KernelCall, KernelName } from '../contract.ts';
import { runReference } from './index.ts';

// Convolutions, pools and batch norm against PyTorch in float64, and the ways back; made by the script beside the numbers.

const root = process.env.CIRCUITSCOPE_SHARED ?? resolve(import.meta.dirname, '../../../../../../shared');
const folder = resolve(root, 'golden/operations');

interface Operation {
  readonly name: string;
  readonly op: string;
  readonly kernel?: number | readonly number[];
  readonly stride?: number | readonly number[];
  readonly padding?: number | readonly number[];
  readonly dilation?: number | readonly number[];
  readonly groups?: number | null;
  readonly ceil_mode?: boolean;
  readonly count_include_pad?: boolean;
  readonly size?: readonly number[];
  readonly eps?: number;
  readonly training?: boolean;
  readonly inputs: { readonly [name: string]: readonly number[] };
}

const operations: readonly Operation[] = existsSync(folder)
  ? JSON.parse(readFileSync(resolve(folder, 'case.json'), 'utf8')).operations
  : [];
const of = (...ops: string[]): readonly (readonly [string, Operation])[] =>
  operations.filter(({ op }) => ops.includes(op)).map((operation) => [operation.name, operation] as const);
const pair = (value: number | readonly number[] | undefined, otherwise = 1): readonly number[] =>
  value === undefined ? [otherwise, otherwise] : typeof value === 'number' ? [value, value] : value;

const run = (
  kernel: KernelName,
  parts: Pick<KernelCall, 'inputs'> & Partial<KernelCall>,
  shape: readonly number[],
): Tensor => {
  const [out] = runReference({ kernel, params: [], attrs: {}, outShapes: [shape], wanted: [true], ...parts }, 'f64');
  if (!out || out.data instanceof Int32Array) throw new Error(`${kernel} gave no floats`);
  return tensor(out.shape, out.data);
};

describe.skipIf(operations.length === 0)('golden vision (skipped where shared/golden is not there)', () => {
  const bytes = operations.length === 0 ? Buffer.alloc(0) : readFileSync(resolve(folder, 'expected.safetensors'));
  const read = readerOf(bytes);
  const expectNear = (got: Tensor, name: string, tolerance: number): void => {
    const wish = read(name);
    expect(got.data.length, name).toBe(wish.data.length);
    const largest = Math.max(...Array.from(wish.data, Math.abs));
    const worst = Math.max(...Array.from(wish.data, (value, i) => Math.abs(value - (got.data[i] ?? Number.NaN))));
    expect(worst / largest, name).toBeLessThan(tolerance);
  };

  test.each(of('conv2d'))('%s and its three ways back', (name, { inputs, ...how }) => {
    const [x, W, ct] = [read(`${name}/input`), read(`${name}/weight`), read(`${name}/cotangent`)];
    const attrs: KernelAttributes = {
      stride: pair(how.stride),
      padding: pair(how.padding, 0),
      dilation: pair(how.dilation),
      groups: how.groups ?? 1,
    };
    const bias = inputs.bias ? read(`${name}/bias`) : null;
    expectNear(run('conv2d', { inputs: [x], params: [W, bias], attrs }, ct.shape), `${name}/output`, 1e-9);
    expectNear(run('conv2d_grad_input', { inputs: [ct], params: [W], attrs }, x.shape), `${name}/grad_input`, 1e-8);
    const shape = [1, ...W.shape];
    expectNear(run('conv2d_grad_weight', { inputs: [x, ct], attrs }, shape), `${name}/grad_weight`, 1e-8);
    if (bias) expectNear(run('channel_sum', { inputs: [ct, null] }, [1, bias.data.length]), `${name}/grad_bias`, 1e-8);
  });

  test.each(of('max_pool2d', 'avg_pool2d'))('%s and its way back', (name, how) => {
    const [x, ct] = [read(`${name}/input`), read(`${name}/cotangent`)];
    const max = how.op === 'max_pool2d';
    const attrs: KernelAttributes = {
      window: pair(how.kernel),
      stride: pair(how.stride),
      padding: pair(how.padding, 0),
      ceil: how.ceil_mode ?? false,
      ...(max ? { dilation: pair(how.dilation) } : { countPadding: how.count_include_pad ?? true }),
    };
    expectNear(run(max ? 'max_pool2d' : 'avg_pool2d', { inputs: [x], attrs }, ct.shape), `${name}/output`, 1e-9);
    const back = max
      ? run('max_pool2d_grad', { inputs: [x, ct], attrs }, x.shape)
      : run('avg_pool2d_grad', { inputs: [ct], attrs }, x.shape);
    expectNear(back, `${name}/grad_input`, 1e-8);
  });

  test('the global average is one window over the plane', () => {
    const name = 'adaptive_avg_pool2d_0';
    const [x, ct] = [read(`${name}/input`), read(`${name}/cotangent`)];
    const whole = x.shape.slice(2);
    const attrs = { window: whole, stride: whole, padding: [0, 0], ceil: false, countPadding: true };
    expectNear(run('avg_pool2d', { inputs: [x], attrs }, ct.shape), `${name}/output`, 1e-9);
    expectNear(run('avg_pool2d_grad', { inputs: [ct], attrs }, x.shape), `${name}/grad_input`, 1e-8);
  });

  test.each(of('batch_norm').filter(([, { training }]) => training === false))(
    '%s in two steps',
    (name, { eps = 0 }) => {
      const [x, ct, w, b] = ['input', 'cotangent', 'weight', 'bias'].map((what) => read(`${name}/${what}`));
      if (!x || !ct || !w || !b) throw new Error('tensors are missing');
      const [mean, variance] = [read('batch_norm/running_mean'), read('batch_norm/running_var')];
      const scale = tensor(
        variance.shape,
        variance.data.map((v) => 1 / Math.sqrt(v + eps)),
      );
      const shift = tensor(
        mean.shape,
        mean.data.map((m, i) => -m * (scale.data[i] ?? 0)),
      );
      const normalized = run('channel_affine', { inputs: [x], params: [scale, shift] }, x.shape);
      const out = run('channel_affine', { inputs: [normalized], params: [w, b] }, x.shape);
      expectNear(out, `${name}/output`, 1e-9);
      const toNormalized = run('channel_affine', { inputs: [ct], params: [w, null] }, x.shape);
      expectNear(
        run('channel_affine', { inputs: [toNormalized], params: [scale, null] }, x.shape),
        `${name}/grad_input`,
        1e-8,
      );
      expectNear(run('channel_sum', { inputs: [ct, normalized] }, [1, w.data.length]), `${name}/grad_weight`, 1e-8);
      expectNear(run('channel_sum', { inputs: [ct, null] }, [1, w.data.length]), `${name}/grad_bias`, 1e-8);
    },
  );
});

function readerOf(bytes: Buffer): (name: string) => Tensor {
  const start = bytes.length === 0 ? 0 : 8 + Number(bytes.readBigUInt64LE(0));
  const header: { [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] } } =
    bytes.length === 0 ? {} : JSON.parse(bytes.toString('utf8', 8, start));
  return (name) => {
    const entry = header[name];
    if (entry?.dtype !== 'F64') throw new Error(`no float64 tensor ${name}`);
    const [from, to] = entry.data_offsets;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start + from, to - from);
    return tensor(
      entry.shape,
      Float64Array.from({ length: (to - from) / 8 }, (_, i) => view.getFloat64(8 * i, true)),
    );
  };
}
