import { type Tensor, tensor } from '../../tensor/index.ts';
import type { KernelCall } from '../contract.ts';
import type { Draw, Drawn, Property } from './draw.ts';

/** Random, of low rank, with equal columns, or scaled far up or down. */
function matrix(draw: Draw, n: number, p: number): Tensor {
  const kind = draw.small(0, 3);
  const a = draw.doubles([n, p], kind === 3 ? draw.pick([1e-290, 1e-30, 1e290]) : 1);
  if (kind === 1) {
    const [x, y] = [draw.doubles([n]).data, draw.doubles([p]).data];
    return tensor(
      [n, p],
      a.data.map((_, at) => (x[Math.floor(at / p)] as number) * (y[at % p] as number)),
    );
  }
  if (kind === 2)
    return tensor(
      [n, p],
      a.data.map((_, at) => a.data[at - (at % 2)] as number),
    );
  return a;
}

const input = (call: KernelCall): Float64Array => Float64Array.from(call.inputs[0]?.data ?? []);
const room = (n: number): number => 32 * (n + 1) * 2 ** -52;
const largest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** x [n, r] times y [p, r], transposed. */
function timesTransposed(x: Float64Array, y: Float64Array, r: number): Float64Array {
  const [n, p] = r > 0 ? [x.length / r, y.length / r] : [0, 0];
  const out = new Float64Array(n * p);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < p; j++) for (let k = 0; k < r; k++) out[i * p + j]! += x[i * r + k]! * y[j * r + k]!;
  return out;
}

const turned = (x: Float64Array, width: number): Float64Array =>
  x.map((_, at) => {
    const rows = x.length / width;
    return x[(at % rows) * width + Math.floor(at / rows)]!;
  });

function orthonormal(x: Float64Array, r: number, what: string): string[] {
  const n = r > 0 ? x.length / r : 0;
  const products = timesTransposed(turned(x, r), turned(x, r), n);
  const worst = products.reduce((most, value, at) => Math.max(most, Math.abs(value - (at % (r + 1) === 0 ? 1 : 0))), 0);
  return worst <= room(n) ? [] : [`${what} is off orthonormal by ${worst}`];
}

function same(got: Float64Array, wish: Float64Array, size: number, n: number): string[] {
  const worst = wish.reduce((most, value, at) => Math.max(most, Math.abs(value / size - got[at]! / size)), 0);
  return size === 0 || worst <= room(n) ? [] : [`it multiplies back to what is off by ${worst} of ${size}`];
}

const descending = (values: Float64Array, room = 0): string[] =>
  values.every((value, at) => at === 0 || values[at - 1]! >= value - room) ? [] : ['values are not in order'];

const square = (draw: Draw): number => draw.sizes(1, { others: 40 })[0] ?? 0;

export const doubleProperties = {
  latent_statistics: (draw) => {
    const [T = 0, d = 0, F = 0] = draw.sizes(3);
    const activation = draw.pick(['none', 'relu', 'threshold']);
    const examples = draw.small(0, 5);
    return {
      inputs: [draw.floats([T, d]), draw.ints([T], 3), draw.perhaps(() => draw.doubles([F, 2]))],
      params: [
        draw.floats([d, F]),
        draw.perhaps(() => draw.floats([F])),
        activation === 'threshold' ? draw.positive([F]) : null,
      ],
      attrs: { activation, examples },
      out: [
        [F, 2],
        [F, 26],
        [F, examples],
        [F, examples],
      ],
      allowed: 'exact',
    };
  },
  gram: (draw) => {
    const [n = 0, p = 0, q = 0] = draw.sizes(3);
    const y = draw.perhaps(() => draw.floats([n, q]));
    const width = y ? q : p;
    const before = draw.perhaps(() => draw.doubles([p, width]));
    return { inputs: [draw.floats([n, p]), y, before], out: [[p, width]], allowed: 'exact' };
  },
  correlate_top_k: (draw) => {
    const [n = 0, p = 0, q = 0] = draw.sizes(3);
    const k = draw.small(0, 5);
    return {
      inputs: [draw.floats([n, p]), draw.floats([n, q]), null, null],
      attrs: { k, absolute: draw.flag(), first: draw.small(0, 9) },
      out: [
        [p, k],
        [p, k],
      ],
      allowed: 'exact',
    };
  },
  svd: (draw) => {
    const [n = 0, p = 0] = draw.sizes(2, { others: 6 });
    const r = Math.min(n, p);
    const law: Drawn['law'] = (call, [u = new Float64Array(), s = new Float64Array(), v = new Float64Array()]) => {
      const a = input(call);
      const scale = s[0] || 1;
      const back = timesTransposed(
        u.map((value, at) => value * (s[at % r]! / scale)),
        v,
        r,
      );
      const size = largest(a);
      return [
        ...descending(s),
        ...same(
          back.map((value) => value * (scale / (size || 1))),
          a.map((value) => value / (size || 1)),
          1,
          8 * Math.max(n, p),
        ),
        ...(size > 0 ? [...orthonormal(u, r, 'u'), ...orthonormal(v, r, 'v')] : []),
      ];
    };
    return { inputs: [matrix(draw, n, p)], out: [[n, r], [r], [p, r]], allowed: 'law', law };
  },
  symmetric_eigen: (draw) => {
    const n = square(draw);
    const law: Drawn['law'] = (call, [values = new Float64Array(), vectors = new Float64Array()]) => {
      const a = input(call);
      const whole = a.map((_, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        return a[Math.max(i, j) * n + Math.min(i, j)]!;
      });
      const size = largest(whole) || 1;
      const back = timesTransposed(
        vectors.map((value, at) => value * (values[at % n]! / size)),
        vectors,
        n,
      );
      return [
        ...descending(values),
        ...same(
          back,
          whole.map((value) => value / size),
          1,
          8 * n,
        ),
        ...orthonormal(vectors, n, 'the basis'),
      ];
    };
    return { inputs: [matrix(draw, n, n)], out: [[n], [n, n]], allowed: 'law', law };
  },
  qr: (draw) => {
    const [n = 0, p = 0] = draw.sizes(2, { others: 6 });
    const count = Math.min(n, p);
    const law: Drawn['law'] = (call, [q = new Float64Array(), r = new Float64Array()]) => {
      const a = input(call);
      const size = largest(a) || 1;
      const back = timesTransposed(
        q,
        turned(
          r.map((value) => value / size),
          p,
        ),
        count,
      );
      const below = r.some((value, at) => at % p < Math.floor(at / p) && value !== 0);
      const negative = r.some((value, at) => at % p === Math.floor(at / p) && value < 0);
      return [
        ...same(
          back,
          a.map((value) => value / size),
          1,
          8 * Math.max(n, p),
        ),
        ...orthonormal(q, count, 'q'),
        ...(below ? ['r has entries below its diagonal'] : []),
        ...(negative ? ['the diagonal of r has negative entries'] : []),
      ];
    };
    return {
      inputs: [matrix(draw, n, p)],
      out: [
        [n, count],
        [count, p],
      ],
      allowed: 'law',
      law,
    };
  },
  eigenvalues: (draw) => {
    const n = square(draw);
    const law: Drawn['law'] = (call, [re = new Float64Array(), im = new Float64Array()]) => {
      const a = input(call);
      const size = largest(a) || 1;
      const trace = a.reduce((sum, value, at) => sum + (at % (n + 1) === 0 ? value / size : 0), 0);
      const found = re.reduce((sum, value) => sum + value / size, 0);
      const turnedBack = im.reduce((sum, value) => sum + value / size, 0);
      const off = Math.max(Math.abs(found - trace), Math.abs(turnedBack));
      return [
        ...descending(re, 2 ** -29 * Math.max(largest(re), largest(im))),
        ...(off <= n * room(8 * n) * n ? [] : [`they sum to what is off the trace by ${off}`]),
      ];
    };
    return { inputs: [matrix(draw, n, n)], out: [[n], [n]], allowed: 'law', law };
  },
  assign: (draw) => {
    const [n = 0, m = 0] = draw.sizes(2, { others: 3 });
    const costs = draw.flag() ? draw.doubles([n, m]) : tensor([n, m], Float64Array.from(draw.ints([n, m], 4).data));
    return { inputs: [costs], out: [[n], [1]], allowed: 'exact' };
  },
} as const satisfies { readonly [kernel: string]: Property };
