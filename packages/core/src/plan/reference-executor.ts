import { CircuitscopeError } from '@circuitscope/schema';
import { isKernelName, type KernelAttributes, runReference } from '../kernels/index.ts';
import type { Floats, IntTensor, Tensor } from '../tensor/index.ts';
import type { ExecuteOptions, Executor } from './executor.ts';
import { boundShape, type Program, programBytes, type Sizes, type Step } from './program.ts';
import { findWeight, type Weights } from './weights.ts';

// The plain executor: one step after the other on the reference kernels. It is the oracle of the native one, runs where
// there is no addon, and in float64 it is the oracle of the whole engine. It uses the program's slots, so that a slot
// that is given away too early shows here as well.

export interface ReferenceOptions {
  readonly precision?: 'f32' | 'f64';
}

export function referenceExecutor({ precision = 'f32' }: ReferenceOptions = {}): Executor {
  const cache = new WeakMap<Floats, Floats>();
  const dense = new WeakMap<Weights, Map<string, { readonly version: number; readonly tensor: Tensor }>>();
  const convert = (data: Floats): Floats => {
    if (precision === 'f64' ? data instanceof Float64Array : data instanceof Float32Array) return data;
    return precision === 'f64' ? Float64Array.from(data) : Float32Array.from(data);
  };
  const inPrecision = (data: Floats): Floats => {
    const converted = cache.get(data) ?? convert(data);
    if (converted !== data) cache.set(data, converted);
    return converted;
  };
  const param = (weights: Weights, name: string): Tensor => {
    const known = dense.get(weights) ?? new Map<string, { readonly version: number; readonly tensor: Tensor }>();
    dense.set(weights, known);
    const weight = findWeight(weights, name);
    const version = weight.version?.() ?? 0;
    const found = known.get(name);
    if (found?.version === version) return found.tensor;
    const data = weight.read();
    // A weight that changes is never looked up by its array: the array stays, its entries do not.
    const tensor = { shape: weight.shape, data: weight.version ? convert(data) : inPrecision(data) };
    known.set(name, { version, tensor });
    return tensor;
  };

  return {
    info: { kind: 'reference', path: precision, threads: 1, cpu: 'any' },
    async execute(program, weights, { sizes, inputs }, options = {}) {
      checkMemory(program, sizes, options);
      const slots: (Tensor | IntTensor | null)[] = new Array(program.slots).fill(null);
      const slotOf = (value: number): number => program.values[value]?.slot ?? -1;
      const shapeOf = (value: number): number[] => boundShape(program.values[value]?.shape ?? [], sizes);
      for (const { name, value } of program.inputs) {
        const data = inputs[name];
        if (!data) throw new CircuitscopeError('bad_input', `The program needs the input ${name}.`, { at: name });
        checkLength(name, data.length, shapeOf(value));
        slots[slotOf(value)] =
          data instanceof Int32Array
            ? { shape: shapeOf(value), data }
            : { shape: shapeOf(value), data: program.values[value]?.dtype === 'f64' ? data : inPrecision(data) };
      }
      let lastPause = performance.now();
      for (const [index, step] of program.steps.entries()) {
        options.signal?.throwIfAborted();
        const results = runReference(
          {
            kernel: kernelName(step),
            inputs: step.in.map((value) => (value < 0 ? null : (slots[slotOf(value)] ?? null))),
            params: step.params.map((at) => (at < 0 ? null : param(weights, program.params[at] ?? ''))),
            attrs: boundAttributes(step, sizes),
            outShapes: step.out.map((value) => (value < 0 ? [] : shapeOf(value))),
            wanted: step.out.map((value) => value >= 0),
          },
          precision,
        );
        step.out.forEach((value, at) => {
          if (value >= 0) slots[slotOf(value)] = results[at] ?? null;
        });
        // Give the event loop a turn, so that cancellation and progress reach us.
        if (performance.now() - lastPause > 20) {
          options.onProgress?.((index + 1) / program.steps.length);
          await new Promise((resolve) => setTimeout(resolve, 0));
          lastPause = performance.now();
        }
      }
      const outputs: { [name: string]: Floats | Int32Array } = {};
      for (const { name, value } of program.outputs) {
        const found = slots[slotOf(value)];
        if (!found)
          throw new CircuitscopeError('bad_program', `The program never computes its output ${name}.`, { at: name });
        outputs[name] = found.data.slice();
      }
      return outputs;
    },
  };
}

export function checkMemory(program: Program, sizes: Sizes, options: ExecuteOptions): void {
  const bytes = programBytes(program, sizes);
  if (options.memoryBytes === undefined || bytes <= options.memoryBytes) return;
  throw new CircuitscopeError(
    'memory',
    `This plan needs ${bytes} bytes for its activations; the budget is ${options.memoryBytes}. Use fewer examples, capture less, or raise the budget.`,
    {
      expected: `at most ${options.memoryBytes}`,
      got: String(bytes),
    },
  );
}

export function checkLength(name: string, length: number, shape: readonly number[]): void {
  const expected = shape.reduce((a, b) => a * b, 1);
  if (length === expected) return;
  throw new CircuitscopeError(
    'bad_input',
    `The input ${name} has ${length} entries; its shape [${shape.join(', ')}] needs ${expected}.`,
    {
      at: name,
      expected: String(expected),
      got: String(length),
    },
  );
}

function kernelName(step: Step) {
  if (isKernelName(step.kernel)) return step.kernel;
  throw new CircuitscopeError('bad_program', `There is no kernel ${step.kernel}.`, { got: step.kernel });
}

function boundAttributes(step: Step, sizes: Sizes): KernelAttributes {
  const dims = step.attrs.dims;
  if (!Array.isArray(dims)) return step.attrs;
  return {
    ...step.attrs,
    dims: boundShape(
      dims.map((dim: unknown) => (typeof dim === 'number' ? dim : String(dim))),
      sizes,
    ),
  };
}
