import { CircuitscopeError } from '@circuitscope/schema';
import { type Dim, type Graph, GraphBuilder } from '../graph/index.ts';
import type { ConvnetLayer, ConvnetSpec, Padding } from './convnet-spec.ts';

/** A spec as a graph: input `images` [batch, channels, height, width], output `logits` [batch, classes]. */
export function buildConvnet({ image, layers }: ConvnetSpec): Graph {
  const builder = new GraphBuilder();
  const images = builder.input('images', { shape: ['batch', ...image], dtype: 'f32' });
  builder.name(images, 'images');
  const logits = chain(builder, images, layers);
  builder.name(logits, 'logits');
  return builder.build(logits);
}

function chain(builder: GraphBuilder, x: number, layers: readonly ConvnetLayer[]): number {
  return layers.reduce((value, layer) => addLayer(builder, value, layer), x);
}

function addLayer(builder: GraphBuilder, x: number, layer: ConvnetLayer): number {
  const { path } = layer;
  switch (layer.kind) {
    case 'conv': {
      const { out, window, stride, dilation, groups } = layer;
      const [before = 0, ...size] = sizes(builder, x, path);
      const padding = sidesOf(layer, dilation, size);
      if (before % groups !== 0 || out % groups !== 0) {
        throw new CircuitscopeError(
          'bad_config',
          `${path} cannot share ${before} and ${out} channels among ${groups} groups.`,
          { at: path, got: String(groups) },
        );
      }
      const W = builder.param(`${path}.weight`, [out, before / groups, ...window]);
      const b = layer.bias ? builder.param(`${path}.bias`, [out]) : null;
      const attrs = { out, window, stride, padding, dilation, groups };
      return builder.add('conv2d', [x], { params: [W, b], attrs, sites: [path] });
    }
    case 'subsample': {
      const [channels = 0] = sizes(builder, x, path);
      const out = layer.before + channels + layer.after;
      const W = builder.param(`${path}.weight`, [out, channels, 1, 1]);
      const attrs = { out, window: [1, 1], stride: layer.stride, padding: [0, 0], dilation: [1, 1], groups: 1 };
      return builder.add('conv2d', [x], { params: [W, null], attrs, sites: [path] });
    }
    case 'batch_norm': {
      const [channels = 0] = sizes(builder, x, path);
      const statistics = normStatistics.map((name) => builder.param(`${path}.${name}`, [channels]));
      const learned = ['weight', 'bias'].map((name) => builder.param(`${path}.${name}`, [channels]));
      const normalized = builder.add('channel_affine', [x], { params: statistics, sites: [`${path}.normalized`] });
      return builder.add('channel_affine', [normalized], { params: learned, sites: [path] });
    }
    case 'relu':
      return builder.add('activation', [x], { attrs: { fn: 'relu' }, sites: [path] });
    case 'clip': {
      const { low, high } = layer;
      const attrs = { ...(low === null ? {} : { low }), ...(high === null ? {} : { high }) };
      return builder.add('clip', [x], { attrs, sites: [path] });
    }
    case 'concat': {
      const parts = layer.branches.map((branch) => chain(builder, x, branch));
      return builder.add('concat_channels', parts, { sites: [path] });
    }
    case 'max_pool': {
      const { window, stride, dilation, ceil } = layer;
      const padding = sidesOf(layer, dilation, sizes(builder, x, path).slice(1));
      return builder.add('max_pool2d', [x], { attrs: { window, stride, padding, dilation, ceil }, sites: [path] });
    }
    case 'avg_pool': {
      const { window, stride, ceil, countPadding } = layer;
      const padding = sidesOf(layer, [1, 1], sizes(builder, x, path).slice(1));
      return builder.add('avg_pool2d', [x], { attrs: { window, stride, padding, ceil, countPadding }, sites: [path] });
    }
    case 'global_pool': {
      const [, ...whole] = sizes(builder, x, path);
      const attrs = { window: whole, stride: whole, padding: [0, 0], ceil: false, countPadding: false };
      return builder.add('avg_pool2d', [x], { attrs, sites: [path] });
    }
    case 'linear': {
      const width = sizes(builder, x, path).reduce((product, size) => product * size, 1);
      const W = builder.param(`${path}.weight`, [width, layer.out]);
      const b = layer.bias ? builder.param(`${path}.bias`, [layer.out]) : null;
      return builder.add('linear', [x], { params: [W, b], attrs: { out: [layer.out], leading: 1 }, sites: [path] });
    }
    case 'residual': {
      const body = chain(builder, x, layer.body);
      const shortcut = chain(builder, x, layer.shortcut);
      if (layer.shortcut.length > 0) builder.name(shortcut, `${path}.shortcut`);
      if (String(builder.shape(body)) !== String(builder.shape(shortcut))) {
        throw new CircuitscopeError(
          'bad_config',
          `${path} adds [${builder.shape(body)}] and [${builder.shape(shortcut)}]; its shortcut must give the body's shape.`,
          { at: path, expected: String(builder.shape(body)), got: String(builder.shape(shortcut)) },
        );
      }
      const sum = builder.add('sum', [body, shortcut], { sites: [`${path}.sum`] });
      if (layer.relu) return builder.add('activation', [sum], { attrs: { fn: 'relu' }, sites: [path] });
      builder.name(sum, path);
      return sum;
    }
    case 'group': {
      const out = chain(builder, x, layer.layers);
      builder.name(out, path);
      return out;
    }
  }
}

/** Padding as numbers, over an image of a size. */
function sidesOf(
  of: { readonly padding: Padding; readonly window: readonly number[]; readonly stride: readonly number[] },
  dilation: readonly number[],
  size: readonly number[],
): readonly number[] {
  const { padding } = of;
  if (typeof padding !== 'string') return padding;
  const sides = [0, 1].map((at) => {
    const [length = 0, stride = 1] = [size[at], of.stride[at]];
    const reach = ((of.window[at] ?? 1) - 1) * (dilation[at] ?? 1) + 1;
    const all = Math.max((Math.ceil(length / stride) - 1) * stride + reach - length, 0);
    const before = padding === 'same' ? Math.floor(all / 2) : Math.ceil(all / 2);
    return [before, all - before] as const;
  });
  const [[top, bottom] = [0, 0], [left, right] = [0, 0]] = sides;
  return top === bottom && left === right ? [top, left] : [top, left, bottom, right];
}

/** What batch norm does with its running statistics: x·inverse_deviation + shift. */
export const normStatistics = ['inverse_deviation', 'shift'] as const;

function sizes(builder: GraphBuilder, of: number, path: string): readonly number[] {
  return builder
    .shape(of)
    .slice(1)
    .map((size: Dim) => {
      if (typeof size === 'number') return size;
      throw new CircuitscopeError('bad_config', `${path} needs images of a known size.`, { at: path });
    });
}
