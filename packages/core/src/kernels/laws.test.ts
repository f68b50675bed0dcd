import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IntTensor, intTensor, isIntTensor, Rng, type Tensor, tensor } from '../tensor/index.ts';
import type { KernelAttributes, KernelName } from './contract.ts';
import { descending } from './reference/descending.ts';
import { runReference } from './reference/index.ts';

// Laws that hold for any data; each run draws sizes and a seed, the seed makes the numbers.

type Value = Tensor | IntTensor | null;

interface Parts {
  readonly params?: readonly (Tensor | null)[];
  readonly attrs?: KernelAttributes;
  readonly out: readonly (readonly number[])[];
  readonly precision?: 'f32' | 'f64';
}

function run(
  kernel: KernelName,
  inputs: readonly Value[],
  { params = [], attrs = {}, out, precision }: Parts,
): Value[] {
  const call = { kernel, inputs, params, attrs, outShapes: out, wanted: out.map(() => true) };
  return [...runReference(call, precision ?? 'f32')];
}

function normals(seed: number, name: string, shape: readonly number[]): Tensor {
  const rng = new Rng(seed, name);
  const length = shape.reduce((product, size) => product * size, 1);
  return tensor(
    shape,
    Float32Array.from({ length }, () => rng.normal()),
  );
}

function numbers(value: Value | undefined): number[] {
  if (!value) throw new Error('an output is missing');
  return Array.from(value.data);
}

const seed = fc.nat(1_000_000);
const size = (max: number) => fc.integer({ min: 1, max });
const anyFloat = fc.oneof(fc.float(), fc.constantFrom(0, -0, 1, Number.NaN, 2 ** -149, -(2 ** -149)));

describe('top_k', () => {
  test('its order is total: antisymmetric, transitive, and equal only to itself', () => {
    fc.assert(
      fc.property(anyFloat, anyFloat, anyFloat, (a, b, c) => {
        const sign = (x: number, i: number, y: number, j: number) => Math.sign(descending(x, i, y, j));
        expect(sign(a, 0, b, 1)).toBe(-sign(b, 1, a, 0));
        expect(sign(a, 0, b, 1)).not.toBe(0);
        if (sign(a, 0, b, 1) < 0 && sign(b, 1, c, 2) < 0) expect(sign(a, 0, c, 2)).toBe(-1);
      }),
    );
  });

  test('it is the head of a stable sort with NaN first', () => {
    fc.assert(
      fc.property(fc.array(anyFloat, { maxLength: 80 }), fc.nat(90), (values, k) => {
        const x = tensor([1, values.length], Float32Array.from(values));
        const [top, at] = run('top_k', [x], {
          attrs: { k },
          out: [
            [1, k],
            [1, k],
          ],
        });
        const rank = (value: number) => (Number.isNaN(value) ? Number.POSITIVE_INFINITY : value);
        const sorted = values
          .map((value, index) => ({ value, index }))
          .sort(
            (a, b) =>
              Number(Number.isNaN(b.value)) - Number(Number.isNaN(a.value)) || rank(b.value) - rank(a.value) || 0,
          )
          .slice(0, k);
        const padding = Math.max(0, k - values.length);
        expect(numbers(top)).toEqual([...sorted.map(({ value }) => value), ...new Array<number>(padding).fill(0)]);
        expect(numbers(at)).toEqual([...sorted.map(({ index }) => index), ...new Array<number>(padding).fill(-1)]);
      }),
    );
  });

  test('sparse rows are what linear and jump_relu leave, whichever way they are found', () => {
    fc.assert(
      fc.property(seed, size(20), size(60), (s, d, latents) => {
        const [x, W, b] = [normals(s, 'x', [4, d]), normals(s, 'W', [d, latents]), normals(s, 'b', [latents])];
        const thresholds = normals(s, 't', [latents]);
        const [pre = null] = run('linear', [x], { params: [W, b], out: [[4, latents]] });
        const [post = null] = run('jump_relu', [pre], { params: [thresholds], out: [[4, latents]] });
        for (const batch of [{}, { batchTopK: 2 }]) {
          const out = [[4 * latents], [4 * latents], [5]];
          const fused = run('project_csr', [x], {
            params: [W, b, thresholds],
            attrs: { activation: 'threshold', ...batch },
            out,
          });
          const apart = run('active_csr', [post], { attrs: batch, out });
          expect(fused.map(numbers)).toEqual(apart.map(numbers));
        }
        const kept = [[4, 7], [4, 7], [4]];
        const fused = run('bias_act_top_k', [x], {
          params: [W, b, thresholds],
          attrs: { activation: 'threshold', k: 7 },
          out: kept,
        });
        expect(fused.map(numbers)).toEqual(run('active_top_k', [post], { attrs: { k: 7 }, out: kept }).map(numbers));
      }),
    );
  });

  test('a dictionary read keeps what linear, relu and top_k keep', () => {
    fc.assert(
      fc.property(seed, size(20), size(100), size(12), (s, d, latents, k) => {
        const [x, W, b] = [normals(s, 'x', [3, d]), normals(s, 'W', [d, latents]), normals(s, 'b', [latents])];
        const out = [
          [3, k],
          [3, k],
        ];
        const [values, indices, count] = run('bias_act_top_k', [x], {
          params: [W, b],
          attrs: { activation: 'relu', k },
          out: [...out, [3]],
        });
        const [pre = null] = run('linear', [x], { params: [W, b], out: [[3, latents]] });
        const [post = null] = run('activation', [pre], { attrs: { fn: 'relu' }, out: [[3, latents]] });
        const [top, at] = run('top_k', [post], { attrs: { k }, out });
        expect(numbers(values)).toEqual(numbers(top));
        expect(numbers(indices)).toEqual(numbers(at).map((index, i) => (numbers(top)[i] === 0 ? -1 : index)));
        expect(numbers(count)).toEqual(
          [0, 1, 2].map(
            (row) =>
              numbers(top)
                .slice(row * k, (row + 1) * k)
                .filter((v) => v > 0).length,
          ),
        );
      }),
    );
  });
});

describe('softmax', () => {
  test('rows sum to 1, and greater entries get no less', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 1, maxLength: 200 }),
        (values) => {
          const [p] = run('softmax', [tensor([1, values.length], Float32Array.from(values))], {
            out: [[1, values.length]],
          });
          const weights = numbers(p);
          expect(Math.abs(weights.reduce((total, w) => total + w, 0) - 1)).toBeLessThan((values.length + 8) * 2 ** -24);
          const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
          for (const [at, i] of order.slice(1).entries())
            expect(weights[i]!).toBeGreaterThanOrEqual(weights[order[at]!]!);
        },
      ),
    );
  });

  test('cross entropy is minus its logarithm', () => {
    fc.assert(
      fc.property(seed, size(70), fc.nat(1000), (s, n, choice) => {
        const logits = normals(s, 'logits', [1, 1, n]);
        const id = choice % n;
        const ids = intTensor([1, 1], Int32Array.from([id]));
        const [loss] = run('cross_entropy', [logits, ids], { out: [[1, 1]], precision: 'f64' });
        const [p] = run('softmax', [logits], { out: [[1, 1, n]], precision: 'f64' });
        expect(numbers(loss)[0]).toBeCloseTo(-Math.log(numbers(p)[id]!), 12);
      }),
    );
  });
});

describe('attention', () => {
  const shapes = fc.record({
    s: seed,
    pos: size(9),
    kvHeads: size(3),
    group: size(3),
    d: size(9),
    causal: fc.boolean(),
  });

  test('the fused step has the bits of scores, softmax and mix, wanted or not', () => {
    fc.assert(
      fc.property(shapes, ({ s, pos, kvHeads, group, d, causal }) => {
        const heads = kvHeads * group;
        const [q, k, v] = [
          normals(s, 'q', [2, pos, heads, d]),
          normals(s, 'k', [2, pos, kvHeads, d]),
          normals(s, 'v', [2, pos, kvHeads, d]),
        ];
        const rng = new Rng(s, 'mask');
        const mask = intTensor(
          [2, pos],
          Int32Array.from({ length: 2 * pos }, () => rng.below(2)),
        );
        const attrs = { scale: 0.37, causal };
        const square = [2, heads, pos, pos];
        const [z, scores, pattern] = run('attention', [q, k, v, mask], { attrs, out: [q.shape, square, square] });
        const [raw = null] = run('scores', [q, k, mask], { attrs, out: [square] });
        const [soft = null] = run('softmax', [raw], { out: [square] });
        const [mixed = null] = run('mix', [soft, v], { out: [q.shape] });
        expect([z, scores, pattern]).toEqual([mixed, raw, soft]);
        const call = { kernel: 'attention', inputs: [q, k, v, mask], params: [], attrs, outShapes: [q.shape] } as const;
        const [alone, ...rest] = runReference({ ...call, wanted: [true, false, false] });
        expect(alone).toEqual(z);
        expect(rest).toEqual([null, null]);
      }),
      { numRuns: 60 },
    );
  });

  test('a causal query does not change with what comes after it', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 2, max: 8 }), (s, pos) => {
        const shape = [1, pos, 2, 3];
        const [q, k, v] = ['q', 'k', 'v'].map((name) => normals(s, name, shape));
        const changed = [q, k, v].map((value) =>
          tensor(shape, Float32Array.from(numbers(value)).fill(Number.NaN, (pos - 1) * 6)),
        );
        const parts = { attrs: { scale: 1, causal: true }, out: [shape, [1, 2, pos, pos], [1, 2, pos, pos]] };
        const [before] = run('attention', [q ?? null, k ?? null, v ?? null, null], parts);
        const [after] = run('attention', [...changed, null], parts);
        expect(numbers(after).slice(0, (pos - 1) * 6)).toEqual(numbers(before).slice(0, (pos - 1) * 6));
      }),
    );
  });

  test('rotated scores depend on the distance of two positions alone', () => {
    fc.assert(
      fc.property(
        seed,
        fc.nat(20),
        fc.nat(20),
        fc.nat(20),
        fc.constantFrom('half', 'adjacent'),
        (s, i, j, shift, layout) => {
          const angles = (fn: (x: number) => number) =>
            tensor(
              [64, 4],
              Float64Array.from({ length: 256 }, (_, at) => fn(Math.floor(at / 4) / 100 ** ((at % 4) / 4))),
            );
          const rotate = (name: string, position: number): number[] => {
            const [out] = run(
              'rotary',
              [normals(s, name, [1, 1, 1, 8]), intTensor([1, 1], Int32Array.from([position]))],
              {
                params: [angles(Math.cos), angles(Math.sin)],
                attrs: { layout, dims: 8 },
                out: [[1, 1, 1, 8]],
                precision: 'f64',
              },
            );
            return numbers(out);
          };
          const dot = (a: number[], b: number[]) => a.reduce((total, value, at) => total + value * b[at]!, 0);
          const here = dot(rotate('q', i), rotate('k', j));
          expect(dot(rotate('q', i + shift), rotate('k', j + shift))).toBeCloseTo(here, 10);
          expect(rotate('q', 0)).toEqual(numbers(normals(s, 'q', [8])));
        },
      ),
    );
  });
});

describe('norm', () => {
  test('the fused step has the bits of norm_scale, normalize and affine', () => {
    fc.assert(
      fc.property(seed, size(100), fc.constantFrom('layer', 'rms'), (s, m, kind) => {
        const x = normals(s, 'x', [3, m]);
        const params = [normals(s, 'w', [m]), normals(s, 'b', [m])];
        const attrs = { kind, eps: 1e-5 };
        const fused = run('norm', [x], {
          params,
          attrs,
          out: [
            [3, m],
            [3, 1],
            [3, m],
          ],
        });
        const [scale = null] = run('norm_scale', [x], { attrs, out: [[3, 1]] });
        const [normalized = null] = run('normalize', [x, scale], { attrs: { kind }, out: [[3, m]] });
        const [out = null] = run('affine', [normalized], { params, out: [[3, m]] });
        expect(fused).toEqual([out, scale, normalized]);
      }),
    );
  });

  test('a layer norm has mean 0 and variance 1', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 2, max: 100 }), (s, m) => {
        const parts = {
          attrs: { kind: 'layer', eps: 0 },
          out: [
            [1, m],
            [1, 1],
            [1, m],
          ],
          precision: 'f64',
        } as const;
        const [out] = run('norm', [normals(s, 'x', [1, m])], parts);
        const values = numbers(out);
        expect(values.reduce((total, v) => total + v, 0) / m).toBeCloseTo(0, 10);
        expect(values.reduce((total, v) => total + v * v, 0) / m).toBeCloseTo(1, 10);
      }),
    );
  });
});

describe('products', () => {
  test('what heads write sums to the output of the whole matrix, and a head alone has its bits', () => {
    fc.assert(
      fc.property(seed, size(4), size(9), size(9), (s, heads, d, m) => {
        const z = normals(s, 'z', [1, 2, heads, d]);
        const W = normals(s, 'W', [heads * d, m]);
        const [all] = run('head_result', [z], { params: [W], out: [[1, 2, heads, m]], precision: 'f64' });
        const [whole] = run('linear', [z], { params: [W], out: [[1, 2, m]], precision: 'f64' });
        const parts = numbers(all);
        numbers(whole).forEach((value, i) => {
          const token = Math.floor(i / m);
          let total = 0;
          for (let head = 0; head < heads; head++) total += parts[(token * heads + head) * m + (i % m)]!;
          expect(total).toBeCloseTo(value, 10);
        });
        const [single] = run('head_result', [z], { params: [W], out: [[1, 2, heads, m]] });
        const [one] = run('head_result', [z], { params: [W], attrs: { head: heads - 1 }, out: [[1, 2, m]] });
        const kept = numbers(single).filter((_, i) => Math.floor(i / m) % heads === heads - 1);
        expect(numbers(one)).toEqual(kept);
      }),
    );
  });

  test('heads that read the same input have the bits of one linear', () => {
    fc.assert(
      fc.property(seed, size(4), size(9), size(9), (s, heads, d, m) => {
        const x = normals(s, 'x', [1, 3, m]);
        const params = [normals(s, 'W', [m, heads * d]), normals(s, 'b', [heads * d])];
        const [read = null] = run('edge_read', [x, tensor([1, heads, 0], new Float32Array(0))], {
          attrs: { heads },
          out: [[1, 3, heads, m]],
        });
        const [split] = run('head_linear', [read], { params, out: [[1, 3, heads, d]] });
        const [whole] = run('linear', [x], { params, out: [[1, 3, heads, d]] });
        expect(numbers(split)).toEqual(numbers(whole));
      }),
    );
  });

  test('columns have the bits of linear, and a row those it has alone', () => {
    fc.assert(
      fc.property(seed, size(40), size(40), (s, K, N) => {
        const x = normals(s, 'x', [2, 3, K]);
        const params = [normals(s, 'W', [K, N]), normals(s, 'b', [N])];
        const rng = new Rng(s, 'ids');
        const ids = intTensor(
          [2, 4],
          Int32Array.from({ length: 8 }, () => rng.below(N)),
        );
        const [whole] = run('linear', [x], { params, out: [[2, 3, N]] });
        const [few] = run('columns', [x, ids], { params, out: [[2, 3, 4]] });
        const wide = numbers(whole);
        expect(numbers(few)).toEqual(
          Array.from(
            { length: 24 },
            (_, i) => wide[Math.floor(i / 4) * N + ids.data[Math.floor(i / 12) * 4 + (i % 4)]!],
          ),
        );
        const last = tensor([1, 1, K], x.data.slice(5 * K));
        const [alone] = run('linear', [last], { params, out: [[1, 1, N]] });
        expect(numbers(alone)).toEqual(wide.slice(5 * N));
      }),
    );
  });
});

describe('interventions', () => {
  const bits = (value: Value | undefined) => Array.from(new Uint32Array(Float32Array.from(numbers(value)).buffer));

  test('an edit whose masks are all zero is the identity to the bit', () => {
    fc.assert(
      fc.property(
        fc.array(anyFloat, { minLength: 12, maxLength: 12 }),
        fc.constantFrom('set', 'add', 'scale'),
        fc.constantFrom(2, 3, 4),
        (values, op, masked) => {
          const x = tensor([2, 2, 1, 3], Float32Array.from(values));
          const masks = [
            intTensor([2, 2], new Int32Array(4)),
            intTensor([2, 1], new Int32Array(2)),
            intTensor([2, 3], new Int32Array(6)),
          ];
          const inputs = [x, null, ...masks.map((mask, at) => (at === masked - 2 ? mask : null)), null];
          const attrs = { op, dims: [2, 1, 3], valueShape: 'none', constant: Number.NaN };
          const [out] = run('edit', inputs, { attrs, out: [x.shape] });
          expect(bits(out)).toEqual(bits(x));
        },
      ),
    );
  });

  test('an edge read with mask 0 is the identity to the bit, for every head', () => {
    fc.assert(
      fc.property(fc.array(anyFloat, { minLength: 6, maxLength: 6 }), seed, size(3), (values, s, heads) => {
        const x = tensor([1, 2, 3], Float32Array.from(values));
        const delta = normals(s, 'delta', [1, 2, 3]);
        const mask = tensor([1, heads, 1], new Float32Array(heads));
        const [out] = run('edge_read', [x, delta, mask], { attrs: { heads }, out: [[1, 2, heads, 3]] });
        const rows = [values.slice(0, 3), values.slice(3)].flatMap((row) =>
          Array.from({ length: heads }, () => row).flat(),
        );
        expect(bits(out)).toEqual(bits(tensor([rows.length], Float32Array.from(rows))));
      }),
    );
  });

  test('a projected-out direction is gone, and a clamped one has the value asked for', () => {
    fc.assert(
      fc.property(seed, size(70), fc.float({ noNaN: true, min: -10, max: 10 }), (s, n, target) => {
        const raw = numbers(normals(s, 'u', [n]));
        const length = Math.hypot(...raw);
        fc.pre(length > 0.1);
        const dir = tensor(
          [n],
          Float64Array.from(raw, (value) => value / length),
        );
        const x = normals(s, 'x', [2, n]);
        const coef = tensor([2], Float32Array.from([target, -target]));
        const along = (op: string): number[] => {
          const attrs = { op, dims: [1, 1, n] };
          const [out = null] = run('direction', [x, dir, null, null, coef], { attrs, out: [[2, n]], precision: 'f64' });
          return numbers(run('project_dot', [out, dir], { out: [[2]], precision: 'f64' })[0]);
        };
        const before = numbers(run('project_dot', [x, dir], { out: [[2]], precision: 'f64' })[0]);
        const close = (got: number[], wish: number[]) => {
          for (const [i, value] of got.entries()) expect(value).toBeCloseTo(wish[i]!, 10);
        };
        close(along('project_out'), [0, 0]);
        close(along('clamp'), [target, -target]);
        close(along('steer'), [before[0]! + target, before[1]! - target]);
      }),
    );
  });

  test('the f32 and the f64 run differ by rounding alone', () => {
    const x = normals(7, 'x', [4, 33]);
    const params = [normals(7, 'W', [33, 20]), null];
    const [single, double] = (['f32', 'f64'] as const).map(
      (precision) => run('linear', [x], { params, out: [[4, 20]], precision })[0],
    );
    expect(single && !isIntTensor(single) && single.data).toBeInstanceOf(Float32Array);
    expect(double && !isIntTensor(double) && double.data).toBeInstanceOf(Float64Array);
    for (const [i, value] of numbers(single).entries())
      expect(Math.abs(value - numbers(double)[i]!)).toBeLessThan(1e-5);
    expect(numbers(single)).not.toEqual(numbers(double));
  });
});
