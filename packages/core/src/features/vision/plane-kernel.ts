import { CircuitscopeError } from '@circuitscope/schema';

// Linear maps between images that are the same at every place: convolutions, average pools, identities, and what they make
// together. Places outside the image count as zero.

export interface PlaneKernel {
  readonly out: number;
  readonly into: number;
  /** Down, across. */
  readonly size: readonly [number, number];
  /** The output at (y, x) reads input rows from y·stride + origin on. A convolution's origin is minus its padding. */
  readonly stride: readonly [number, number];
  readonly origin: readonly [number, number];
  /** [out, into, down, across] */
  readonly data: Float64Array;
}

export function identityKernel(channels: number): PlaneKernel {
  const data = Float64Array.from({ length: channels * channels }, (_, at) => (at % (channels + 1) === 0 ? 1 : 0));
  return { out: channels, into: channels, size: [1, 1], stride: [1, 1], origin: [0, 0], data };
}

export interface ConvolutionWeights {
  /** [out, into/groups, kh, kw] and its entries. */
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/** A convolution with gaps and groups written out: gaps as zeros, other groups' channels as zeros. */
export function convolutionKernel({ shape, data, stride, padding, dilation, groups }: ConvolutionWeights): PlaneKernel {
  const [out = 0, own = 0, kh = 0, kw = 0] = shape;
  const size = [dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1] as const;
  const into = own * groups;
  const kernel = zeroKernel({ out, into, size, stride, origin: [-padding[0], -padding[1]] });
  let from = 0;
  for (let o = 0; o < out; o++) {
    const first = Math.floor((o * groups) / out) * own;
    for (let i = 0; i < own; i++) {
      for (let down = 0; down < kh; down++) {
        for (let across = 0; across < kw; across++) {
          kernel.data[place(kernel, o, first + i, down * dilation[0], across * dilation[1])] = data[from++] ?? 0;
        }
      }
    }
  }
  return kernel;
}

/** The mean over a window of each channel by itself. */
export function averageKernel(
  channels: number,
  window: readonly [number, number],
  moves: Pick<ConvolutionWeights, 'stride' | 'padding' | 'dilation'>,
): PlaneKernel {
  const entries = window[0] * window[1];
  const data = new Float64Array(channels * entries).fill(1 / entries);
  return convolutionKernel({ shape: [channels, 1, ...window], data, ...moves, groups: channels });
}

/** Each output channel times a factor: the linear part of a batch norm that no longer looks at its batch. */
export function scaledKernel(kernel: PlaneKernel, factors: ArrayLike<number>): PlaneKernel {
  const each = kernel.data.length / kernel.out;
  return { ...kernel, data: kernel.data.map((value, at) => value * (factors[Math.floor(at / each)] ?? 0)) };
}

/**
 * First one, then the other: E[o, i, t] = Σ_m Σ_a second[o, m, a]·first[m, i, t − a·stride of the first]. Exact wherever
 * what lies between does not leave the image; the zeros of a later padding are not the earlier kernel's view of its own.
 */
export function composeKernels(first: PlaneKernel, second: PlaneKernel): PlaneKernel {
  if (first.out !== second.into) {
    throw new CircuitscopeError('bad_shape', `A kernel of ${second.into} channels cannot read ${first.out}.`, {
      expected: String(second.into),
      got: String(first.out),
    });
  }
  const along = (axis: 0 | 1) => ({
    size: first.size[axis] + (second.size[axis] - 1) * first.stride[axis],
    stride: first.stride[axis] * second.stride[axis],
    origin: first.origin[axis] + first.stride[axis] * second.origin[axis],
  });
  const [down, across] = [along(0), along(1)];
  const result = zeroKernel({
    out: second.out,
    into: first.into,
    size: [down.size, across.size],
    stride: [down.stride, across.stride],
    origin: [down.origin, across.origin],
  });
  for (let o = 0; o < second.out; o++) {
    for (let m = 0; m < second.into; m++) {
      for (let a = 0; a < second.size[0]; a++) {
        for (let b = 0; b < second.size[1]; b++) {
          const factor = second.data[place(second, o, m, a, b)] ?? 0;
          if (factor === 0) continue;
          for (let i = 0; i < first.into; i++) {
            for (let y = 0; y < first.size[0]; y++) {
              for (let x = 0; x < first.size[1]; x++) {
                const to = place(result, o, i, y + a * first.stride[0], x + b * first.stride[1]);
                result.data[to] = (result.data[to] ?? 0) + factor * (first.data[place(first, m, i, y, x)] ?? 0);
              }
            }
          }
        }
      }
    }
  }
  return result;
}

/** What two branches write to one sum. */
export function addKernels(a: PlaneKernel, b: PlaneKernel): PlaneKernel {
  if (a.out !== b.out || a.into !== b.into || a.stride[0] !== b.stride[0] || a.stride[1] !== b.stride[1]) {
    throw new CircuitscopeError('bad_shape', 'Only branches of equal channels and strides add up to one kernel.', {
      expected: `${a.out} × ${a.into}, stride ${a.stride.join(' × ')}`,
      got: `${b.out} × ${b.into}, stride ${b.stride.join(' × ')}`,
    });
  }
  const origin = [Math.min(a.origin[0], b.origin[0]), Math.min(a.origin[1], b.origin[1])] as const;
  const size = ([0, 1] as const).map(
    (axis) => Math.max(a.origin[axis] + a.size[axis], b.origin[axis] + b.size[axis]) - origin[axis],
  );
  const sum = zeroKernel({ ...a, size: [size[0] ?? 0, size[1] ?? 0], origin });
  for (const one of [a, b]) {
    for (let o = 0; o < one.out; o++) {
      for (let i = 0; i < one.into; i++) {
        for (let y = 0; y < one.size[0]; y++) {
          for (let x = 0; x < one.size[1]; x++) {
            const to = place(sum, o, i, y + one.origin[0] - origin[0], x + one.origin[1] - origin[1]);
            sum.data[to] = (sum.data[to] ?? 0) + (one.data[place(one, o, i, y, x)] ?? 0);
          }
        }
      }
    }
  }
  return sum;
}

/** The plane between two channels, [down, across]. */
export function planeOf(kernel: PlaneKernel, out: number, into: number): Float64Array {
  const length = kernel.size[0] * kernel.size[1];
  const start = (out * kernel.into + into) * length;
  return kernel.data.slice(start, start + length);
}

function zeroKernel(parts: Omit<PlaneKernel, 'data'>): PlaneKernel {
  const { out, into, size } = parts;
  const length = out * into * size[0] * size[1];
  if (!(length <= 2 ** 28)) {
    throw new CircuitscopeError('too_large', 'A composed kernel would be too large; take fewer layers or channels.', {
      expected: 'at most 2^28 entries',
      got: String(length),
    });
  }
  return { out, into, size, stride: parts.stride, origin: parts.origin, data: new Float64Array(length) };
}

function place({ into, size }: Pick<PlaneKernel, 'into' | 'size'>, o: number, i: number, y: number, x: number): number {
  return ((o * into + i) * size[0] + y) * size[1] + x;
}
