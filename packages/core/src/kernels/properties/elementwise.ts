import { normRows, smoothActivation, softened, softmaxRows } from '../conformance/bounds.ts';
import { smoothSlope } from '../conformance/gradient-bounds.ts';
import type { Draw, Drawn, Property } from './draw.ts';

const of =
  (inputs: number, attrs: (draw: Draw) => Drawn['attrs'] = () => ({})): Property =>
  (draw) => {
    const shape = draw.sizes(2);
    const values = Array.from({ length: inputs }, () => draw.floats(shape));
    return { inputs: values, attrs: attrs(draw) ?? {}, out: [shape], allowed: 'exact' };
  };

const kind = (draw: Draw): 'layer' | 'rms' => draw.pick(['layer', 'rms']);

export const elementwiseProperties = {
  sum: (draw) => of(draw.small(1, 4))(draw),
  mul: of(2),
  subtract: of(2),
  scale: of(1, (draw) => ({ factor: Math.fround(draw.rng.normal()) })),
  where_nonzero: of(2),
  soft_cap: (draw) => ({ ...of(1)(draw), attrs: { cap: draw.pick([0.5, 2.5, 30]) }, allowed: softened }),
  soft_cap_grad: of(2, () => ({ cap: 5 })),
  activation: (draw) => {
    const fn = draw.pick(['gelu_tanh', 'gelu_erf', 'silu', 'relu']);
    return { ...of(1)(draw), attrs: { fn }, allowed: fn === 'relu' ? 'exact' : smoothActivation };
  },
  activation_grad: (draw) => {
    const fn = draw.pick(['gelu_tanh', 'gelu_erf', 'silu', 'relu']);
    return { ...of(2)(draw), attrs: { fn }, allowed: fn === 'relu' ? 'exact' : smoothSlope };
  },
  jump_relu: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2);
    return { inputs: [draw.floats([rows, n])], params: [draw.floats([n], 0.5)], out: [[rows, n]], allowed: 'exact' };
  },
  top_k_mask: (draw) => ({ ...of(1)(draw), attrs: { k: draw.size() } }),
  top_k: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2);
    const k = draw.small(0, 12);
    return {
      inputs: [draw.floats([rows, n])],
      attrs: { k },
      out: [
        [rows, k],
        [rows, k],
      ],
      allowed: 'exact',
    };
  },
  outer: (draw) => {
    const [a = 0, n = 0] = draw.sizes(2);
    return { inputs: [draw.floats([a, 2]), draw.floats([n])], out: [[a, 2, n]], allowed: 'exact' };
  },
  reshape: (draw) => {
    const [a = 0, b = 0] = draw.sizes(2);
    return { inputs: [draw.floats([a, b])], out: [[b, a]], allowed: 'exact' };
  },
  repeat: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    return { inputs: [draw.floats([rows, m])], out: [[rows * draw.small(1, 3), m]], allowed: 'exact' };
  },
  softmax: (draw) => ({ ...of(1)(draw), allowed: softmaxRows }),
  softmax_grad: (draw) => {
    const shape = draw.sizes(2);
    return { inputs: [draw.positive(shape), draw.floats(shape)], out: [shape], allowed: 'exact' };
  },
  affine: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2);
    const vector = () => draw.perhaps(() => draw.floats([m]));
    return { inputs: [draw.floats([rows, m])], params: [vector(), vector()], out: [[rows, m]], allowed: 'exact' };
  },
  norm_scale: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const attrs = { kind: kind(draw), eps: 2 ** -16 };
    return { inputs: [draw.floats([rows, m], 2)], attrs, out: [[rows, 1]], allowed: normRows };
  },
  normalize: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, m], 2), draw.positive([rows, 1])];
    return { inputs, attrs: { kind: kind(draw) }, out: [[rows, m]], allowed: normRows };
  },
  norm: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const vector = () => draw.perhaps(() => draw.floats([m]));
    return {
      inputs: [draw.floats([rows, m], 2)],
      params: [vector(), vector()],
      attrs: { kind: kind(draw), eps: 2 ** -16 },
      out: [
        [rows, m],
        [rows, 1],
        [rows, m],
      ],
      allowed: normRows,
    };
  },
  normalize_grad: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.positive([rows, 1]), draw.floats([rows, m])];
    return { inputs, attrs: { kind: kind(draw) }, out: [[rows, m]], allowed: 'exact' };
  },
  normalize_grad_scale: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, m]), draw.positive([rows, 1]), draw.floats([rows, m])];
    return { inputs, attrs: { kind: kind(draw) }, out: [[rows, 1]], allowed: 'exact' };
  },
  norm_scale_grad: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, m]), draw.positive([rows, 1]), draw.floats([rows, 1])];
    return { inputs, attrs: { kind: kind(draw) }, out: [[rows, m]], allowed: 'exact' };
  },
  norm_grad: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.floats([rows, m]), draw.positive([rows, 1]), draw.floats([rows, m])];
    const params = [draw.perhaps(() => draw.floats([m]))];
    return { inputs, params, attrs: { kind: kind(draw) }, out: [[rows, m]], allowed: 'exact' };
  },
  embed: (draw) => {
    const [V = 0, m = 0] = draw.sizes(2, { least: 1 });
    const [rows, pos] = [draw.small(0, 3), draw.small(0, 9)];
    const transposed = draw.flag();
    const params = [draw.floats(transposed ? [m, V] : [V, m])];
    return {
      inputs: [draw.ints([rows, pos], V)],
      params,
      attrs: { transposed },
      out: [[rows, pos, m]],
      allowed: 'exact',
    };
  },
  gather_rows: (draw) => {
    const [pos = 0, w = 0] = draw.sizes(2, { least: 1 });
    const [rows, groups] = [draw.small(0, 3), draw.small(0, 9)];
    const inputs = [draw.floats([rows, pos, w]), draw.ints([rows, groups], pos)];
    return { inputs, out: [[rows, groups, w]], allowed: 'exact' };
  },
  scatter_rows: (draw) => {
    const [pos = 0, w = 0] = draw.sizes(2, { least: 1 });
    const [rows, groups] = [draw.small(0, 3), draw.small(0, 9)];
    const inputs = [draw.floats([rows, groups, w]), draw.ints([rows, groups], pos)];
    return { inputs, out: [[rows, pos, w]], allowed: 'exact' };
  },
  concat_positions: (draw) => {
    const [past = 0, w = 0] = draw.sizes(2);
    const [rows, pos] = [draw.small(0, 3), draw.small(0, 9)];
    const inputs = [draw.floats([rows, past, w]), draw.floats([rows, pos, w])];
    return { inputs, out: [[rows, past + pos, w]], allowed: 'exact' };
  },
  edit: (draw) => {
    const [c = 0] = draw.sizes(1);
    const [rows, a, b] = [draw.small(1, 4), draw.small(1, 5), draw.small(1, 4)];
    const op = draw.pick(['set', 'add', 'scale']);
    const valueShape = draw.pick(['none', 'scalar', 'vector', 'rows']);
    const lengths: { readonly [shape: string]: readonly number[] } = {
      scalar: [1],
      vector: [b, c],
      rows: [rows, a, b, c],
    };
    const length = lengths[valueShape];
    const mask = (size: number) => draw.perhaps(() => draw.ints([rows, size], 2));
    return {
      inputs: [
        draw.floats([rows, a, b, c]),
        length ? draw.floats(length) : null,
        mask(a),
        mask(b),
        mask(c),
        draw.perhaps(() => draw.floats([rows])),
      ],
      attrs: { op, dims: [a, b, c], valueShape, constant: 0.7 },
      out: [[rows, a, b, c]],
      allowed: 'exact',
    };
  },
} as const satisfies { readonly [kernel: string]: Property };
