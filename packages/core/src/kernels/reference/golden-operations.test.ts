import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type IntTensor, type Tensor, tensor } from '../../tensor/index.ts';
import type { KernelAttributes, KernelCall, KernelName } from '../contract.ts';
import { runReference } from './index.ts';

// Single operations against PyTorch in float64; the script that made the numbers stands beside them (golden/make).

const root = process.env.CIRCUITSCOPE_SHARED ?? resolve(import.meta.dirname, '../../../../../../shared');
const folder = resolve(root, 'golden/operations');

interface Golden {
  readonly kernel: KernelName;
  readonly attrs: KernelAttributes;
  readonly params?: readonly string[];
}

const covered: { readonly [name: string]: Golden } = {
  layer_norm: { kernel: 'norm', attrs: { kind: 'layer', eps: 1e-5 }, params: ['weight', 'bias'] },
  rms_norm: { kernel: 'norm', attrs: { kind: 'rms', eps: 1e-6 }, params: [] },
  gelu_exact: { kernel: 'activation', attrs: { fn: 'gelu_erf' } },
  gelu_tanh: { kernel: 'activation', attrs: { fn: 'gelu_tanh' } },
  silu: { kernel: 'activation', attrs: { fn: 'silu' } },
  relu: { kernel: 'activation', attrs: { fn: 'relu' } },
  softmax: { kernel: 'softmax', attrs: {} },
};

describe.skipIf(!existsSync(folder))('golden operations (skipped where shared/golden is not there)', () => {
  test.each(Object.entries(covered))('%s agrees in float64 to 1e-9 and in float32 to 1e-4', (name, golden) => {
    const read = openSafetensors(resolve(folder, 'expected.safetensors'));
    const x = read(`${name}/input`);
    const params = (golden.params ?? []).map((param) => read(`${name}/${param}`));
    const wish = read(`${name}/output`);
    const out = [wish.shape, [...x.shape.slice(0, -1), 1], x.shape].slice(0, golden.kernel === 'norm' ? 3 : 1);
    const call = {
      kernel: golden.kernel,
      inputs: [x],
      params,
      attrs: golden.attrs,
      outShapes: out,
      wanted: out.map(() => true),
    };
    const largest = Math.max(...Array.from(wish.data, Math.abs));
    for (const [precision, tolerance] of [
      ['f64', 1e-9],
      ['f32', 1e-4],
    ] as const) {
      const got = runReference(call, precision)[0];
      expect(got?.data.length).toBe(wish.data.length);
      const worst = Math.max(...Array.from(wish.data, (value, i) => Math.abs(value - (got?.data[i] ?? Number.NaN))));
      expect(worst / largest).toBeLessThan(tolerance);
    }
  });
});

describe.skipIf(!existsSync(folder))('their ways back (skipped where shared/golden is not there)', () => {
  const read = (name: string): Tensor => openSafetensors(resolve(folder, 'expected.safetensors'))(name);
  const run = (kernel: KernelName, parts: Pick<KernelCall, 'inputs'> & Partial<KernelCall>, shape: readonly number[]) =>
    runReference({ kernel, params: [], attrs: {}, outShapes: [shape], wanted: [true], ...parts }, 'f64')[0];
  const expectNear = (got: Tensor | IntTensor | null | undefined, wish: Tensor, what: string): void => {
    const largest = Math.max(...Array.from(wish.data, Math.abs));
    const worst = Math.max(...Array.from(wish.data, (value, i) => Math.abs(value - (got?.data[i] ?? Number.NaN))));
    expect(worst / largest, what).toBeLessThan(1e-8);
  };

  test.each(['gelu_exact', 'gelu_tanh', 'silu', 'relu', 'softmax'])('%s', (name) => {
    const [x, ct, wish] = [read(`${name}/input`), read(`${name}/cotangent`), read(`${name}/grad_input`)];
    const got =
      name === 'softmax'
        ? run('softmax_grad', { inputs: [run('softmax', { inputs: [x] }, x.shape) ?? null, ct] }, x.shape)
        : run('activation_grad', { inputs: [x, ct], attrs: covered[name]?.attrs ?? {} }, x.shape);
    expectNear(got, wish, name);
  });

  test.each(['layer_norm', 'rms_norm'])('%s', (name) => {
    const { attrs = {} } = covered[name] ?? {};
    const [x, ct] = [read(`${name}/input`), read(`${name}/cotangent`)];
    const scale = run('norm_scale', { inputs: [x], attrs }, [...x.shape.slice(0, -1), 1]) ?? null;
    const params = [name === 'layer_norm' ? read('layer_norm/weight') : null];
    const kind = attrs.kind ?? null;
    const got = run('norm_grad', { inputs: [x, scale, ct], params, attrs: { kind } }, x.shape);
    expectNear(got, read(`${name}/grad_input`), name);
    if (name === 'rms_norm') return;
    const normalized = run('normalize', { inputs: [x, scale], attrs: { kind } }, x.shape) ?? null;
    const shape = [1, x.shape.at(-1) ?? 0];
    expectNear(run('column_sum', { inputs: [ct, normalized] }, shape), read('layer_norm/grad_weight'), 'gain');
    expectNear(run('column_sum', { inputs: [ct, null] }, shape), read('layer_norm/grad_bias'), 'bias');
  });
});

function openSafetensors(path: string): (name: string) => Tensor {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header: { [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] } } = JSON.parse(
    bytes.toString('utf8', 8, start),
  );
  return (name) => {
    const entry = header[name];
    if (!entry) throw new Error(`no tensor ${name}; there are ${Object.keys(header).join(', ')}`);
    const [from, to] = entry.data_offsets;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start + from, to - from);
    const read =
      entry.dtype === 'F64' ? (i: number) => view.getFloat64(8 * i, true) : (i: number) => view.getFloat32(4 * i, true);
    const length = entry.shape.reduce((product, size) => product * size, 1);
    return tensor(
      entry.shape,
      Float64Array.from({ length }, (_, i) => read(i)),
    );
  };
}
