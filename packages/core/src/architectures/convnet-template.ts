import type { Checkpoint } from '../checkpoints/index.ts';
import type { ModuleEntry } from './convnet-modules.ts';

/** A draft of the configuration that bare weights lack, and in words what of it no weight says. */
export interface ConvnetTemplate {
  readonly config: {
    readonly model_type: 'convnet';
    readonly image?: readonly number[];
    readonly layers: readonly ModuleEntry[];
  };
  readonly assumed: readonly string[];
}

interface Part {
  readonly path: string;
  readonly kind: 'conv' | 'linear' | 'norm';
  /** Sizes of the weight; of a norm [channels]. */
  readonly shape: readonly number[];
  readonly bias: boolean;
}

/**
 * Layers of a plain stack, drafted from names and shapes: convolutions, then linear layers, norms behind what has their
 * width. Strides, paddings, pooling, activations and what is added to what are in no state dict: a ReLU is put behind every
 * layer but the last, names of a Sequential that are left out (0, 3, 6) become ReLU and pooling, and the image is what then fits
 * the first linear layer. A draft is never run: whoever knows the net has to look through it.
 *
 * @returns null for weights that are no such stack, and where a configuration is there
 */
export function convnetTemplate(checkpoint: Checkpoint): ConvnetTemplate | null {
  if (checkpoint.config !== null) return null;
  const found = partsOf(checkpoint);
  const first = found?.find(({ kind }) => kind === 'conv');
  if (!found || !first || found.length > 500) return null;
  const parts = ordered(found);
  const assumed = new Set<string>([
    'every convolution has stride 1, and padding that keeps the size where no linear layer says otherwise',
  ]);
  if (parts.some(({ path }) => /\.\d+\.\D/.test(path)))
    assumed.add(
      'names such as layer1.0.conv1 look like blocks: what they add is to be written as modules of type Residual',
    );
  const layers: Draft[] = [];
  const channels = first.shape[1] ?? 1;
  let width = channels;
  parts.forEach((part, i) => {
    const next = parts[i + 1];
    const [out = 1, into = 1, ...window] = part.shape;
    if (part.kind === 'conv') {
      const groups = into === width ? 1 : width % into === 0 && out % (width / into) === 0 ? width / into : 1;
      if (into * groups !== width)
        assumed.add(`${part.path} reads ${into * groups} channels where ${width} are given: branches meet before it`);
      layers.push({ ...part, type: 'Conv2d', in: into * groups, out, window, groups });
      width = out;
    } else if (part.kind === 'linear') {
      if (parts[i - 1]?.kind !== 'linear' && !layers.some(({ type }) => type === 'Linear'))
        layers.push({ path: 'flatten', type: 'Flatten' });
      layers.push({ ...part, type: 'Linear', in: into, out });
      width = out;
    } else layers.push({ ...part, type: layers.some(({ type }) => type === 'Linear') ? 'BatchNorm1d' : 'BatchNorm2d' });
    if (next?.kind !== 'norm' && i + 1 < parts.length) {
      const gap = skipped(part.path, next?.path ?? '');
      layers.push({ path: gap[0] ?? `${part.path}.relu`, type: 'ReLU' });
      if (gap[1] !== undefined && next?.kind === 'conv') layers.push({ path: gap[1], type: 'MaxPool2d' });
      assumed.add('a ReLU stands behind every layer but the last, behind its norm where it has one');
      if (gap[1] !== undefined) assumed.add('names that a Sequential leaves out are a ReLU and a 2 × 2 pooling');
    }
  });
  const image = fitted(layers, channels, assumed);
  const entries = layers.map(entryOf);
  return { config: { model_type: 'convnet', ...(image ? { image } : {}), layers: entries }, assumed: [...assumed] };
}

interface Draft {
  readonly path: string;
  readonly type:
    | 'Conv2d'
    | 'Linear'
    | 'BatchNorm1d'
    | 'BatchNorm2d'
    | 'ReLU'
    | 'MaxPool2d'
    | 'AdaptiveAvgPool2d'
    | 'Flatten';
  readonly in?: number;
  readonly out?: number;
  readonly window?: readonly number[];
  readonly groups?: number;
  readonly bias?: boolean;
  padding?: number;
}

/** Layers by path; null where a tensor is of none. */
function partsOf({ tensors }: Checkpoint): Part[] | null {
  const parts: Part[] = [];
  for (const [name, { shape }] of tensors) {
    const path = name.slice(0, Math.max(0, name.lastIndexOf('.')));
    const part = name.slice(path === '' ? 0 : path.length + 1);
    const norm = tensors.has(`${path}.running_mean`);
    if (
      part === 'num_batches_tracked' ||
      (norm && part !== 'weight') ||
      (part === 'bias' && tensors.has(`${path}.weight`))
    )
      continue;
    const kind = norm ? 'norm' : shape.length === 4 ? 'conv' : shape.length === 2 ? 'linear' : undefined;
    if (part !== 'weight' || path === '' || !kind || (norm && shape.length !== 1)) return null;
    parts.push({ path, kind, shape, bias: tensors.has(`${path}.bias`) });
  }
  return parts;
}

/** In the order of the file, or where that is the alphabet's: by number, convolutions first, a norm behind what has its width. */
function ordered(parts: readonly Part[]): readonly Part[] {
  const alphabetical = parts.every(({ path }, i) => i === 0 || (parts[i - 1]?.path ?? '') < path);
  if (!alphabetical || parts.length < 2) return parts;
  const byNumber = parts.toSorted((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }));
  // Numbers in a Sequential are an order already; one with convolutions stands before one without.
  const sequence = ({ path }: Part): string | undefined => /^(.*?)\d+$/.exec(path)?.[1];
  const looking = new Set(parts.filter(({ kind }) => kind === 'conv').map(sequence));
  if (parts.every(({ path }) => /(^|\.)\d+$/.test(path)))
    return [true, false].flatMap((early) => byNumber.filter((part) => looking.has(sequence(part)) === early));
  const wide = ['conv', 'linear'].flatMap((kind) => byNumber.filter((part) => part.kind === kind));
  const placed = [...wide];
  const after = new Set<string>();
  for (const norm of byNumber.filter(({ kind }) => kind === 'norm')) {
    const fits = wide.filter(({ path, shape }) => shape[0] === norm.shape[0] && !after.has(path));
    const last = fits[0];
    if (!last) return parts;
    after.add(last.path);
    placed.splice(placed.indexOf(last) + 1, 0, norm);
  }
  return placed;
}

/** Paths between two numbers of one Sequential: `features.1`, `features.2` between `features.0` and `features.3`. */
function skipped(from: string, to: string): readonly string[] {
  const [, before = '', first = ''] = /^(.*?)(\d+)$/.exec(from) ?? [];
  const [, after = '', last = ''] = /^(.*?)(\d+)$/.exec(to) ?? [];
  if (before !== after || first === '' || last === '' || !/(^|\.)$/.test(before)) return [];
  return Array.from(
    { length: Math.max(0, Math.min(8, Number(last) - Number(first) - 1)) },
    (_, i) => `${before}${Number(first) + 1 + i}`,
  );
}

/**
 * The smallest square image that gives the first linear layer what it reads, with convolutions that keep the size or, where
 * there is no pooling, with such that do not pad. Without a linear layer, or one that reads channels alone: a mean over the
 * image, of any size.
 */
function fitted(layers: Draft[], channels: number, assumed: Set<string>): readonly number[] | undefined {
  const at = layers.findIndex(({ type }) => type === 'Flatten');
  const before = at < 0 ? layers : layers.slice(0, at);
  const convolutions = before.filter(({ type }) => type === 'Conv2d');
  const out = convolutions.at(-1)?.out ?? 1;
  const into = layers.find(({ type }) => type === 'Linear')?.in ?? out;
  const places = Math.sqrt(into / out);
  if (places === 1) {
    if (at >= 0) layers.splice(at, 0, { path: 'avgpool', type: 'AdaptiveAvgPool2d' });
    for (const layer of convolutions) layer.padding = Math.floor((layer.window?.[0] ?? 1) / 2);
    assumed.add('the mean of every channel is read; the images may have any size, which --size or image has to say');
    return undefined;
  }
  if (!Number.isInteger(places)) {
    assumed.add(
      `the first linear layer reads ${into} numbers, which are no square image of ${out} channels; image is to be filled in`,
    );
    return undefined;
  }
  const size = (padded: boolean): number =>
    before.reduceRight((side, { type, window = [] }) => {
      if (type === 'MaxPool2d') return side * 2;
      return type === 'Conv2d' && !padded ? side + (window[0] ?? 1) - 1 : side;
    }, places);
  const usual = [28, 32, 64, 96, 128, 224];
  const padded = usual.includes(size(true)) || !usual.includes(size(false));
  for (const layer of convolutions) layer.padding = padded ? Math.floor((layer.window?.[0] ?? 1) / 2) : 0;
  const side = size(padded);
  assumed.add(
    `images are ${side} × ${side}, for which ${padded ? 'padded' : 'unpadded'} convolutions give the first linear layer its ${into} numbers`,
  );
  return [channels, side, side];
}

function entryOf({ path, type, in: into, out, window, groups, bias, padding }: Draft): ModuleEntry {
  switch (type) {
    case 'Conv2d': {
      const sizes = { in_channels: into, out_channels: out, kernel_size: window, stride: 1, padding: padding ?? 0 };
      return {
        path,
        type,
        arguments: { ...sizes, ...(groups === 1 ? {} : { groups }) },
        ...(bias ? {} : { bias: false }),
      };
    }
    case 'Linear':
      return { path, type, arguments: { in_features: into, out_features: out }, ...(bias ? {} : { bias: false }) };
    case 'MaxPool2d':
      return { path, type, arguments: { kernel_size: 2 } };
    case 'AdaptiveAvgPool2d':
      return { path, type, arguments: { output_size: 1 } };
    default:
      return { path, type };
  }
}
