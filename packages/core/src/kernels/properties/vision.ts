import { sumOfTerms } from '../conformance/bounds.ts';
import { axisOf, sidesOf } from '../reference/window.ts';
import type { Draw, Property } from './draw.ts';

type Pair = readonly [number, number];
const pair = (draw: Draw, least: number, most: number): Pair => [draw.small(least, most), draw.small(least, most)];

function convolution(draw: Draw) {
  const [rows, groups] = [draw.small(1, 2), draw.small(1, 3)];
  const [before, after] = [draw.small(1, 3), draw.small(1, 5)];
  const [size, window] = [pair(draw, 1, 17), pair(draw, 1, 3)];
  const [stride, dilation] = [pair(draw, 1, 2), pair(draw, 1, 2)];
  const padding = draw.flag() ? pair(draw, 0, 2) : [...pair(draw, 0, 2), ...pair(draw, 0, 2)];
  const sides = sidesOf(padding);
  const out = ([0, 1] as const).map(
    (at) =>
      axisOf({ size: size[at], window: window[at], stride: stride[at], ...sides[at], dilation: dilation[at] }, false)
        .out,
  );
  return {
    rows,
    x: [before * groups, ...size],
    y: [after * groups, ...out],
    weight: [after * groups, before, ...window],
    terms: before * window[0] * window[1],
    attrs: { stride, padding, dilation, groups },
  };
}

function pool(draw: Draw) {
  const window = pair(draw, 1, 4);
  const side = (): Pair => [draw.small(0, Math.floor(window[0] / 2)), draw.small(0, Math.floor(window[1] / 2))];
  const padding = draw.flag() ? side() : [...side(), ...side()];
  const sides = sidesOf(padding);
  const [size, stride] = [pair(draw, 1, 33), pair(draw, 1, 3)];
  const ceil = draw.flag();
  const out = ([0, 1] as const).map(
    (at) => axisOf({ size: size[at], window: window[at], stride: stride[at], ...sides[at], dilation: 1 }, ceil).out,
  );
  const channels = draw.small(1, 3);
  return { x: [2, channels, ...size], y: [2, channels, ...out], attrs: { window, stride, padding, ceil } };
}

const bounds = (draw: Draw) => ({
  ...(draw.flag() ? { low: draw.pick([-1, 0, 0.25]) } : {}),
  ...(draw.flag() ? { high: draw.pick([0.5, 1, 6]) } : {}),
});

export const visionProperties = {
  conv2d: (draw) => {
    const { rows, x, y, weight, terms, attrs } = convolution(draw);
    const params = [draw.floats(weight), draw.perhaps(() => draw.floats([y[0] ?? 0]))];
    return { inputs: [draw.floats([rows, ...x])], params, attrs, out: [[rows, ...y]], allowed: sumOfTerms(terms + 1) };
  },
  conv2d_grad_input: (draw) => {
    const { rows, x, y, weight, attrs } = convolution(draw);
    const terms = ((y[0] ?? 0) / attrs.groups) * (weight[2] ?? 1) * (weight[3] ?? 1);
    const allowed = sumOfTerms(terms + 9);
    return { inputs: [draw.floats([rows, ...y])], params: [draw.floats(weight)], attrs, out: [[rows, ...x]], allowed };
  },
  conv2d_grad_weight: (draw) => {
    const { rows, x, y, weight, attrs } = convolution(draw);
    const allowed = sumOfTerms(rows * (y[1] ?? 0) * (y[2] ?? 0) + 1);
    return { inputs: [draw.floats([rows, ...x]), draw.floats([rows, ...y])], attrs, out: [[1, ...weight]], allowed };
  },
  channel_affine: (draw) => {
    const { x } = pool(draw);
    const vector = () => draw.perhaps(() => draw.floats([x[1] ?? 0]));
    return { inputs: [draw.floats(x)], params: [vector(), vector()], out: [x], allowed: 'exact' };
  },
  channel_sum: (draw) => {
    const { x } = pool(draw);
    const [rows = 0, channels = 0, height = 0, width = 0] = x;
    const inputs = [draw.floats(x), draw.perhaps(() => draw.floats(x))];
    return { inputs, out: [[1, channels]], allowed: sumOfTerms(rows * height * width + 1) };
  },
  max_pool2d: (draw) => {
    const { x, y, attrs } = pool(draw);
    return { inputs: [draw.floats(x)], attrs, out: [y], allowed: 'exact' };
  },
  max_pool2d_grad: (draw) => {
    const { x, y, attrs } = pool(draw);
    return { inputs: [draw.floats(x), draw.floats(y)], attrs, out: [x], allowed: 'exact' };
  },
  avg_pool2d: (draw) => {
    const { x, y, attrs } = pool(draw);
    return { inputs: [draw.floats(x)], attrs: { ...attrs, countPadding: draw.flag() }, out: [y], allowed: 'exact' };
  },
  avg_pool2d_grad: (draw) => {
    const { x, y, attrs } = pool(draw);
    return { inputs: [draw.floats(y)], attrs: { ...attrs, countPadding: draw.flag() }, out: [x], allowed: 'exact' };
  },
  concat_channels: (draw) => {
    const [rows, height, width] = [draw.small(1, 3), draw.small(1, 9), draw.small(1, 9)];
    const channels = Array.from({ length: draw.small(1, 4) }, () => draw.small(1, 5));
    const all = channels.reduce((sum, count) => sum + count, 0);
    const inputs = channels.map((count) => draw.floats([rows, count, height, width]));
    return { inputs, out: [[rows, all, height, width]], allowed: 'exact' };
  },
  slice_channels: (draw) => {
    const [rows, count, height, width] = [draw.small(1, 3), draw.small(1, 5), draw.small(1, 9), draw.small(1, 9)];
    const first = draw.small(0, 4);
    const inputs = [draw.floats([rows, first + count + draw.small(0, 3), height, width])];
    return { inputs, attrs: { first }, out: [[rows, count, height, width]], allowed: 'exact' };
  },
  clip: (draw) => {
    const { x } = pool(draw);
    return { inputs: [draw.floats(x)], attrs: bounds(draw), out: [x], allowed: 'exact' };
  },
  clip_grad: (draw) => {
    const { x } = pool(draw);
    return { inputs: [draw.floats(x), draw.floats(x)], attrs: bounds(draw), out: [x], allowed: 'exact' };
  },
} as const satisfies { readonly [kernel: string]: Property };
