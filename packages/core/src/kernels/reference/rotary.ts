import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import {
  badShape,
  countAttr,
  expectShape,
  flagAttr,
  input,
  intInput,
  outOfRange,
  outShape,
  param,
  wordAttr,
} from './call-reader.ts';

/**
 * Rotates pairs of the first `dims` entries of each head by the angle of the token's position; the rest is copied.
 * `half` (GPT-NeoX, Llama) pairs i with i + dims/2; `adjacent` (GPT-J, llama2.c) pairs 2i with 2i + 1. A pair (a, b)
 * becomes (a·cos − b·sin, b·cos + a·sin); the product with cos is rounded, the other is fused onto it. `inverse` turns back.
 * Bounded: 2u·(|a·cos| + |b·sin|). Source: Su et al. 2021, RoFormer.
 */
export const rotary: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const positions = intInput(call, 1);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, width = 0] = x.shape;
  expectShape(call, 'positions', positions.shape, [rows, pos]);
  const dims = countAttr(call, 'dims');
  if (dims % 2 !== 0 || dims > width) throw badShape(call, 'x', [rows, pos, heads, dims + (dims % 2)], x.shape);
  const half = dims / 2;
  const cos = param(call, 0).data;
  const sin = param(call, 1).data;
  if (sin.length !== cos.length || (half > 0 && cos.length % half !== 0)) {
    throw badShape(call, 'sin', [null, half], param(call, 1).shape);
  }
  const context = half === 0 ? Number.POSITIVE_INFINITY : cos.length / half;
  const rowOf = (token: number): number => {
    const position = positions.data[token]!;
    if (position < 0 || position >= context) throw outOfRange(call, 'positions', position, context);
    return position;
  };
  return [turned(call, make, { cos, sin, half, rowOf })];
};

/** The same with the waves of each token given: for angles that depend on more than the position. */
export const rotate: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  expectShape(call, 'x', x.shape, [null, null, null, null]);
  const [rows = 0, pos = 0, heads = 0, width = 0] = x.shape;
  const [cos, sin] = [input(call, 1), input(call, 2)];
  const half = cos.shape[2] ?? 0;
  expectShape(call, 'cos', cos.shape, [rows, pos, half]);
  expectShape(call, 'sin', sin.shape, [rows, pos, half]);
  if (2 * half > width) throw badShape(call, 'x', [rows, pos, heads, 2 * half], x.shape);
  return [turned(call, make, { cos: cos.data, sin: sin.data, half, rowOf: (token) => token })];
};

interface Turn {
  readonly cos: ArrayLike<number>;
  readonly sin: ArrayLike<number>;
  readonly half: number;
  /** The row of the waves by which a token turns. */
  readonly rowOf: (token: number) => number;
}

function turned(call: KernelCall, make: Parameters<ReferenceKernel>[1], { cos, sin, half, rowOf }: Turn): Tensor {
  const x = input(call, 0);
  const [rows = 0, pos = 0, heads = 0, width = 0] = x.shape;
  const layout = wordAttr(call, 'layout', ['half', 'adjacent']);
  const inverse = call.attrs.inverse === undefined ? false : flagAttr(call, 'inverse');
  const out = make(outShape(call, 0, x.shape));
  out.data.set(x.data);
  const { round, fma } = arithmeticOf(out.data);
  for (let token = 0; token < rows * pos; token++) {
    const at = rowOf(token) * half;
    for (let head = token * heads; head < (token + 1) * heads; head++) {
      for (let i = 0; i < half; i++) {
        const first = head * width + (layout === 'half' ? i : 2 * i);
        const second = first + (layout === 'half' ? half : 1);
        const c = cos[at + i]!;
        const s = inverse ? -sin[at + i]! : sin[at + i]!;
        const a = x.data[first]!;
        const b = x.data[second]!;
        out.data[first] = fma(-b, s, round(a * c));
        out.data[second] = fma(a, s, round(b * c));
      }
    }
  }
  return out;
}
