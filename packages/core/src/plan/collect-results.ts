import { CircuitscopeError, type Readout } from '@circuitscope/schema';
import type { Floats, IntTensor, Tensor } from '../tensor/index.ts';
import { statisticOf } from './add-vocab-readout.ts';
import { latentRowsOf } from './latent-readout.ts';
import type { ReadoutResult } from './run.ts';

/** Puts the rows of chunks into one result per readout, in the order of the plan's variants. */
export class Collector {
  readonly #readouts: readonly Readout[];
  readonly #variants: number | null;
  readonly #batch: number;
  readonly #parts = new Map<string, { shape: number[]; data: Floats | Int32Array }>();

  constructor(readouts: readonly Readout[], variants: number | null, batch: number) {
    this.#readouts = readouts;
    this.#variants = variants;
    this.#batch = batch;
  }

  add(
    members: readonly number[],
    compiled: { readonly outputs: readonly (readonly string[])[]; readonly targets: number },
    outputs: { readonly [name: string]: Floats | Int32Array },
    shapes: ReadonlyMap<string, readonly number[]>,
  ): void {
    for (const [index, name] of compiled.outputs.flatMap((names, at) => names.map((one) => [at, one] as const))) {
      const data = outputs[name];
      const shape = shapes.get(name);
      if (!data || !shape)
        throw new CircuitscopeError('bad_program', `The executor gave no output ${name}.`, { at: name });
      const readout = this.#readouts[index];
      // As long as they happen to be: there is one chunk, as a sweep has no room for them.
      if (compiled.outputs[index]?.includes(`r${index}.rowStart`)) {
        this.#parts.set(name, { shape: [...shape], data });
        continue;
      }
      const gradient = readout?.kind === 'gradient';
      // A weight's gradient adds the examples; what is left per target and variant is one block.
      const perTarget = gradient && readout.wrt.kind === 'param';
      const targets = gradient ? compiled.targets : 1;
      const rest = perTarget ? shape.slice(1) : [this.#batch, ...shape.slice(1)];
      const block = rest.reduce((a, b) => a * b, 1);
      let part = this.#parts.get(name);
      // A value that no variant changes has one block for all of them.
      const shared = !gradient && shape[0] === this.#batch && members.length > 1;
      const leading = [...(this.#variants === null ? [] : [this.#variants]), ...(gradient ? [targets] : [])];
      const whole = members.length === (this.#variants ?? 1) && members.every((variant, at) => variant === at);
      if (!part && whole && !shared && (targets === 1 || members.length === 1)) {
        // All of it came at once, in its order: large captures are not copied.
        this.#parts.set(name, { shape: [...leading, ...rest], data });
        continue;
      }
      if (!part) {
        const length = (this.#variants ?? 1) * targets * block;
        const empty =
          data instanceof Int32Array
            ? new Int32Array(length)
            : data instanceof Float64Array
              ? new Float64Array(length)
              : new Float32Array(length);
        part = { shape: [...leading, ...rest], data: empty };
        this.#parts.set(name, part);
      }
      members.forEach((variant, member) => {
        for (let target = 0; target < targets; target++) {
          const from = shared ? 0 : (target * members.length + member) * block;
          part.data.set(data.subarray(from, from + block), (variant * targets + target) * block);
        }
      });
    }
  }

  finish(): ReadoutResult[] {
    return this.#readouts.map((readout, index) => {
      const main = this.#parts.get(`r${index}`);
      if (!main || main.data instanceof Int32Array) throw noValues(index);
      const whole = (name: string): IntTensor | undefined => {
        const part = this.#parts.get(`r${index}.${name}`);
        return part?.data instanceof Int32Array ? { shape: part.shape, data: part.data } : undefined;
      };
      const required = (name: string): IntTensor => {
        const part = whole(name);
        if (part) return part;
        throw noValues(index);
      };
      const tensor = { shape: main.shape, data: main.data };
      if (readout.kind !== 'latents') return resultOf(readout, tensor, () => required('indices'));
      const starts = whole('rowStart');
      const shape = [this.#batch, starts ? (starts.data.length - 1) / this.#batch : 0];
      const ends = starts ? { rowStart: starts.data, shape } : { count: required('count').data };
      return latentRowsOf(tensor, required('indices'), ends);
    });
  }
}

function resultOf(
  readout: Exclude<Readout, { kind: 'latents' }>,
  tensor: Tensor,
  indices: () => IntTensor,
): ReadoutResult {
  switch (readout.kind) {
    case 'capture':
      return { kind: 'capture', site: readout.at.site, tensor };
    case 'logitDiff':
      return { kind: 'logitDiff', tensor: difference(tensor) };
    case 'entropy':
    case 'logProb':
    case 'rank':
    case 'kl':
      return { kind: readout.kind, tensor: column(tensor, statisticOf[readout.kind], 5) };
    case 'loss':
      return { kind: 'loss', tensor };
    case 'project':
      return { kind: 'project', tensor };
    case 'gradient':
      return { kind: 'gradient', tensor };
    case 'topK':
      return { kind: 'topK', values: tensor, indices: indices() };
  }
}

function noValues(index: number): CircuitscopeError {
  return new CircuitscopeError('bad_program', `The program gave no values for readout ${index}.`);
}

/** [..., width] → [...]: one entry of each row. */
function column(tensor: Tensor, at: number, width: number): Tensor {
  const count = tensor.data.length / width;
  const data = tensor.data instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = tensor.data[i * width + at] ?? 0;
  return { shape: tensor.shape.slice(0, -1), data };
}

/** [..., 2] → [...]: the answer's logit minus the wrong answer's. */
function difference(tensor: Tensor): Tensor {
  const count = tensor.data.length / 2;
  const data = tensor.data instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = (tensor.data[2 * i] ?? 0) - (tensor.data[2 * i + 1] ?? 0);
  return { shape: tensor.shape.slice(0, -1), data };
}
