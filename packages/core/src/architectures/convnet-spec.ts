import { type ConfigReader, MOST_LAYERS } from './architecture.ts';

// A convolution net as plain data: layers one after the other, some of them residual. Paths are those of PyTorch modules;
// what a layer gives is the site of its path.

export type Pair = readonly [down: number, across: number];
/**
 * On either side, or [top, left, bottom, right]; or so that ⌈size / stride⌉ places come out, of an odd number one more
 * behind the image (`same`) or before it (`same_lower`).
 */
export type Padding =
  | Pair
  | readonly [top: number, left: number, bottom: number, right: number]
  | 'same'
  | 'same_lower';

export type ConvnetLayer =
  | {
      readonly kind: 'conv';
      readonly path: string;
      readonly out: number;
      readonly window: Pair;
      readonly stride: Pair;
      readonly padding: Padding;
      readonly dilation: Pair;
      readonly groups: number;
      readonly bias: boolean;
    }
  /** By running statistics, in two visible steps: (x − mean)/√(var + eps) is the site `PATH.normalized`, then gain and bias. */
  | { readonly kind: 'batch_norm'; readonly path: string; readonly eps: number }
  | { readonly kind: 'relu'; readonly path: string }
  /** min(max(x, low), high); null stands for no bound. ReLU6 is 0 to 6. */
  | { readonly kind: 'clip'; readonly path: string; readonly low: number | null; readonly high: number | null }
  | {
      readonly kind: 'max_pool';
      readonly path: string;
      readonly window: Pair;
      readonly stride: Pair;
      readonly padding: Padding;
      readonly dilation: Pair;
      readonly ceil: boolean;
    }
  | {
      readonly kind: 'avg_pool';
      readonly path: string;
      readonly window: Pair;
      readonly stride: Pair;
      readonly padding: Padding;
      readonly ceil: boolean;
      readonly countPadding: boolean;
    }
  /** The mean of each channel. */
  | { readonly kind: 'global_pool'; readonly path: string }
  /** The stored weight and bias are multiplied by `gains` where there are such. */
  | {
      readonly kind: 'linear';
      readonly path: string;
      readonly out: number;
      readonly bias: boolean;
      readonly gains?: readonly [weight: number, bias: number];
    }
  /**
   * body(x) + shortcut(x), where an empty shortcut is x itself; then perhaps ReLU. The sum is the site `PATH.sum`, the
   * shortcut `PATH.shortcut`.
   */
  | {
      readonly kind: 'residual';
      readonly path: string;
      readonly body: readonly ConvnetLayer[];
      readonly shortcut: readonly ConvnetLayer[];
      readonly relu: boolean;
    }
  /** What the branches make of x, one's channels after the other's; an empty branch gives x itself. */
  | { readonly kind: 'concat'; readonly path: string; readonly branches: readonly (readonly ConvnetLayer[])[] }
  /**
   * Every stride-th place, and channels of zeros before and behind: the shortcut without weights of He et al. 2016a (A). It
   * is computed as a convolution of 1 × 1 with ones and zeros.
   */
  | {
      readonly kind: 'subsample';
      readonly path: string;
      readonly stride: Pair;
      readonly before: number;
      readonly after: number;
    }
  /** Layers that have a name together. */
  | { readonly kind: 'group'; readonly path: string; readonly layers: readonly ConvnetLayer[] };

export interface ConvnetSpec {
  /** [channels, height, width] of the images. */
  readonly image: readonly [number, number, number];
  readonly layers: readonly ConvnetLayer[];
}

/** Residual nets as `transformers` writes them, whose config says nothing of the images' height and width. */
export function resnetSpec(config: ConfigReader, [height, width]: readonly [number, number]): ConvnetSpec {
  const hidden = list(config, 'hidden_sizes');
  const depths = list(config, 'depths');
  if (depths.reduce((sum, depth) => sum + depth, 0) > MOST_LAYERS)
    throw config.wrong('depths', `at most ${MOST_LAYERS} layers`, depths);
  const bottleneck = config.oneOf('layer_type', { basic: 'basic', bottleneck: 'bottleneck' }) === 'bottleneck';
  config.only('hidden_act', ['relu']);
  const stem = config.size('embedding_size');
  const stemStrides = config.flag('downsample_in_first_stage', false);
  const early = config.flag('downsample_in_bottleneck', false);
  const image = [config.size('num_channels', 3), height, width] as const;
  const classes = Object.keys(Object(config.value('id2label') ?? {})).length || 2;
  config.finish(['architectures', 'dtype', 'torch_dtype', 'id2label', 'label2id', 'model_type', ...labelled]);

  const root = 'resnet.encoder.stages';
  let before = stem;
  const stages = hidden.map((out, stage): ConvnetLayer => {
    const blocks = Array.from({ length: depths[stage] ?? 0 }, (_, at): ConvnetLayer => {
      const path = `${root}.${stage}.layers.${at}`;
      const stride = at === 0 && (stage > 0 || stemStrides) ? 2 : 1;
      const inner = out / 4;
      const body = bottleneck
        ? [
            ...convolved(`${path}.layer.0`, inner, 1, early ? stride : 1, true),
            ...convolved(`${path}.layer.1`, inner, 3, early ? 1 : stride, true),
            ...convolved(`${path}.layer.2`, out, 1, 1, false),
          ]
        : [...convolved(`${path}.layer.0`, out, 3, stride, true), ...convolved(`${path}.layer.1`, out, 3, 1, false)];
      const changes = stride !== 1 || before !== out;
      const shortcut = changes ? convolved(`${path}.shortcut`, out, 1, stride, false) : [];
      before = out;
      return { kind: 'residual', path, body, shortcut, relu: true };
    });
    return { kind: 'group', path: `${root}.${stage}`, layers: blocks };
  });
  const pool = { window: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1], ceil: false } as const;
  const embedder = 'resnet.embedder';
  return {
    image,
    layers: [
      {
        kind: 'group',
        path: embedder,
        layers: [
          { kind: 'group', path: `${embedder}.embedder`, layers: convolved(`${embedder}.embedder`, stem, 7, 2, true) },
          { kind: 'max_pool', path: `${embedder}.pooler`, ...pool },
        ],
      },
      ...stages,
      { kind: 'global_pool', path: 'resnet.pooler' },
      { kind: 'linear', path: 'classifier.1', out: classes, bias: true },
    ],
  };
}

const labelled = ['stage_names', 'out_features', 'out_indices', 'transformers_version', 'problem_type', 'num_labels'];

/** Convolution, batch norm and perhaps ReLU, padded so that stride 1 keeps the size. */
function convolved(path: string, out: number, window: number, stride: number, relu: boolean): ConvnetLayer[] {
  const same = Math.floor(window / 2);
  return [
    {
      kind: 'conv',
      path: `${path}.convolution`,
      out,
      window: [window, window],
      stride: [stride, stride],
      padding: [same, same],
      dilation: [1, 1],
      groups: 1,
      bias: false,
    },
    { kind: 'batch_norm', path: `${path}.normalization`, eps: 1e-5 },
    ...(relu ? [{ kind: 'relu', path: `${path}.activation` } as const] : []),
  ];
}

function list(config: ConfigReader, key: string): readonly number[] {
  const value = config.value(key);
  if (Array.isArray(value) && value.every((entry) => Number.isInteger(entry) && entry > 0)) return value;
  throw config.wrong(key, 'a list of whole numbers above 0', value);
}
