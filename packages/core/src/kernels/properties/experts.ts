import type { Tensor } from '../../tensor/index.ts';
import { sumOfTerms } from '../conformance/bounds.ts';
import type { Draw, Property } from './draw.ts';

/** Gates of tokens over experts: some open, the others 0 of either sign. */
function gates(draw: Draw, rows: number, experts: number): Tensor {
  const { shape, data } = draw.positive([rows, experts]);
  return { shape, data: Float32Array.from(data, (gate) => (draw.flag() ? gate : draw.flag() ? 0 : -0)) };
}

export const expertProperties = {
  route: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2, { least: 1 });
    const k = draw.small(0, 5);
    const { shape, data } = draw.ints([rows, k], n + 2);
    const indices = { shape, data: Float32Array.from(data, (index) => index - 1) };
    return { inputs: [draw.positive([rows, n]), indices], out: [[rows, n]], allowed: 'exact' };
  },
  route_grad: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2, { least: 1 });
    const inputs = [draw.positive([rows, n]), gates(draw, rows, n), draw.floats([rows, n])];
    return { inputs, out: [[rows, n]], allowed: 'exact' };
  },
  choices: (draw) => {
    const [rows = 0, n = 0] = draw.sizes(2);
    const k = draw.small(0, 9);
    return { inputs: [draw.floats([rows, n])], attrs: { k }, out: [[rows, k]], allowed: 'exact' };
  },
  add_gated: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const experts = draw.small(1, 5);
    const inputs = [draw.perhaps(() => draw.floats([rows, m])), draw.floats([rows, m]), gates(draw, rows, experts)];
    return { inputs, attrs: { expert: draw.small(0, experts - 1) }, out: [[rows, m]], allowed: 'exact' };
  },
  gate_grad: (draw) => {
    const [rows = 0, m = 0] = draw.sizes(2, { least: 1 });
    const experts = draw.small(1, 5);
    const attrs = { expert: draw.small(0, experts - 1), experts };
    return {
      inputs: [draw.floats([rows, m]), draw.floats([rows, m])],
      attrs,
      out: [[rows, experts]],
      allowed: 'exact',
    };
  },
  expert: (draw) => {
    const [rows = 0, K = 0, F = 0, m = 0] = draw.sizes(4, { least: 1 });
    const experts = draw.small(1, 5);
    return {
      inputs: [draw.perhaps(() => draw.floats([rows, m])), draw.floats([rows, K]), gates(draw, rows, experts)],
      params: [draw.floats([K, F]), draw.floats([K, F]), draw.floats([F, m])],
      attrs: { expert: draw.small(0, experts - 1), fn: draw.pick(['gelu_erf', 'silu', 'relu']) },
      out: [[rows, m]],
      allowed: sumOfTerms(4 * K + F + 40),
    };
  },
} as const satisfies { readonly [kernel: string]: Property };
