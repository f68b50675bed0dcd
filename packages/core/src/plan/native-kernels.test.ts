import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { type ConformanceCase, conformanceCases, findDeviations } from '../kernels/conformance.ts';
import { chooseNative, type KernelCall, type KernelResult, kernelSpec } from '../kernels/index.ts';
import type { IntTensor, Tensor } from '../tensor/index.ts';
import type { Executor } from './executor.ts';
import { nativeExecutor } from './native-executor.ts';
import type { Program } from './program.ts';
import type { Weight } from './weights.ts';

// The addon runs programs, not kernels: each conformance case is a program of one step, compared as the reference is.

const choice = await chooseNative({});

describe('native', () => {
  for (const entry of conformanceCases) {
    test(entry.name, async (context) => {
      if (choice.kind === 'missing') context.skip(`the addon does not load: ${choice.reason}`);
      else await check(entry, nativeExecutor(choice.addon));
    });
  }
});

async function check(entry: ConformanceCase, executor: Executor): Promise<void> {
  if (entry.fails) {
    const error = await runStep(executor, entry).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CircuitscopeError);
    expect(error).toHaveProperty('code', entry.fails);
  } else expect(findDeviations(entry, await runStep(executor, entry), { bits: true })).toEqual([]);
}

async function runStep(executor: Executor, call: KernelCall): Promise<KernelResult> {
  const values: Program['values'][number][] = [];
  const value = (shape: readonly number[], dtype: 'f32' | 'i32'): number =>
    values.push({ shape, dtype, slot: values.length }) - 1;
  const given: { [name: string]: Float32Array | Int32Array } = {};
  const inputs: { name: string; value: number }[] = [];
  const into = call.inputs.map((tensor, at) => {
    if (!tensor) return -1;
    const { data, shape } = tensor;
    given[`in${at}`] = data instanceof Float64Array ? Float32Array.from(data) : data;
    const index = value(shape, data instanceof Int32Array ? 'i32' : 'f32');
    inputs.push({ name: `in${at}`, value: index });
    return index;
  });
  const spec = kernelSpec(call.kernel);
  const out = call.outShapes.map((shape, at) =>
    call.wanted[at] === false ? -1 : value(shape, spec.outputs[at]?.dtype ?? 'f32'),
  );
  const weights = new Map<string, Weight>([
    ['unused', { name: 'unused', shape: [1], read: () => new Float32Array(1) }],
  ]);
  const params: string[] = [];
  const paramIndices = call.params.map((tensor, at) => {
    if (!tensor) return -1;
    const { data } = tensor;
    const shape = spec.params[at]?.role === 'vector' ? [data.length] : tensor.shape;
    weights.set(`param${at}`, { name: `param${at}`, shape, read: () => data });
    return params.push(`param${at}`) - 1;
  });
  const outputs = out.flatMap((index, at) => (index < 0 ? [] : [{ name: `out${at}`, value: index }]));
  const steps = [{ kernel: call.kernel, in: into, out, params: paramIndices, attrs: call.attrs }];
  const program: Program = { version: 1, values, slots: values.length, inputs, params, steps, outputs };
  const results = await executor.execute(program, weights, { sizes: {}, inputs: given });
  return call.outShapes.map((shape, at): Tensor | IntTensor | null => {
    const data = results[`out${at}`];
    if (!data) return null;
    return data instanceof Int32Array ? { shape, data } : { shape, data };
  });
}
