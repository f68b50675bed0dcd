import { type KernelCall, type KernelResult, kernelSpec } from '../kernels/index.ts';
import type { Floats, IntTensor, Tensor } from '../tensor/index.ts';
import type { ExecuteOptions, Executor } from './executor.ts';
import type { Program, ProgramValue } from './program.ts';
import type { Weight } from './weights.ts';

/** Runs one kernel as a program of one step. @throws CircuitscopeError as the executor does */
export async function runKernel(executor: Executor, call: KernelCall, options?: ExecuteOptions): Promise<KernelResult> {
  const spec = kernelSpec(call.kernel);
  const values: ProgramValue[] = [];
  const value = (shape: readonly number[], dtype: ProgramValue['dtype']): number =>
    values.push({ shape, dtype, slot: values.length }) - 1;
  const given: { [name: string]: Floats | Int32Array } = {};
  const inputs: { name: string; value: number }[] = [];
  const into = call.inputs.map((tensor, at) => {
    if (!tensor) return -1;
    const { data, shape } = tensor;
    given[`in${at}`] = data;
    const wide = spec.inputs[at]?.dtype === 'f64';
    const index = value(shape, data instanceof Int32Array ? 'i32' : wide ? 'f64' : 'f32');
    inputs.push({ name: `in${at}`, value: index });
    return index;
  });
  const out = call.outShapes.map((shape, at) =>
    call.wanted[at] === false ? -1 : value(shape, spec.outputs[at]?.dtype ?? 'f32'),
  );
  const weights = new Map<string, Weight>();
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
  const results = await executor.execute(program, weights, { sizes: {}, inputs: given }, options);
  return call.outShapes.map((shape, at): Tensor | IntTensor | null => {
    const data = results[`out${at}`];
    if (!data) return null;
    return data instanceof Int32Array ? { shape, data } : { shape, data };
  });
}
