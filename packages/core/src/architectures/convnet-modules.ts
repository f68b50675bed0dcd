import { CircuitscopeError } from '@circuitscope/schema';
import { ConfigReader } from './architecture.ts';
import type { ConvnetLayer, Padding, Pair } from './convnet-spec.ts';

/**
 * A PyTorch module, as `layers` of a config lists them. Weights stand under its path. `Sequential` names `layers` together,
 * `Residual` adds its `body` and `shortcut`, `Concat` puts the channels of its `branches` side by side.
 */
export interface ModuleEntry {
  readonly path: string;
  readonly type: string;
  readonly arguments?: { readonly [name: string]: unknown };
  readonly bias?: boolean;
  readonly layers?: readonly ModuleEntry[];
  readonly body?: readonly ModuleEntry[];
  readonly shortcut?: readonly ModuleEntry[];
  readonly branches?: readonly (readonly ModuleEntry[])[];
}

/** Modules inside each other; deeper is a mistake. */
const DEPTH = 32;
const MOST = 20_000;

/** Layers from a list of modules. @throws CircuitscopeError `bad_config`, `unknown_config`, `unsupported_architecture` */
export function layersFromModules(modules: unknown, at = 'layers', depth = 0): ConvnetLayer[] {
  if (!Array.isArray(modules) || modules.length > MOST || depth > DEPTH)
    throw wrong(at, `a list of at most ${MOST} modules with path and type, ${DEPTH} deep`, modules);
  return modules.flatMap((entry: unknown, i): ConvnetLayer[] => {
    const fields = new ConfigReader(entry, `${at}[${i}]`);
    const [path, type] = [fields.value('path'), fields.value('type')];
    if (typeof path !== 'string' || path === '' || typeof type !== 'string')
      throw wrong(`${at}[${i}]`, 'a module with path and type', entry);
    const given = new ConfigReader(fields.value('arguments') ?? {}, `the module ${path}`);
    // Modules without weights say false of theirs, which means nothing.
    const bias = fields.flag('bias', true);
    const inner = (key: string): ConvnetLayer[] =>
      layersFromModules(fields.value(key) ?? [], `${path}: ${key}`, depth + 1);
    const layer = ((): ConvnetLayer | null => {
      switch (type) {
        case 'Sequential':
          return { kind: 'group', path, layers: inner('layers') };
        case 'Residual':
          return {
            kind: 'residual',
            path,
            body: inner('body'),
            shortcut: inner('shortcut'),
            relu: given.flag('relu', true),
          };
        case 'Concat': {
          const branches = fields.value('branches');
          if (!Array.isArray(branches) || branches.length < 2)
            throw wrong(`${path}: branches`, 'two lists or more', branches);
          const lists = branches.map((branch: unknown, k) =>
            layersFromModules(branch, `${path}: branches[${k}]`, depth + 1),
          );
          return { kind: 'concat', path, branches: lists };
        }
        default:
          return plainLayer(path, type, given, bias);
      }
    })();
    given.finish([]);
    fields.finish([]);
    return layer ? [layer] : [];
  });
}

/** A module that holds no others; null for one that does nothing when a net is run. */
function plainLayer(path: string, type: string, config: ConfigReader, bias: boolean): ConvnetLayer | null {
  const pair = (key: string, fallback?: Pair): Pair => pairOf(config.value(key), fallback, `${path}: ${key}`);
  switch (type) {
    case 'Conv2d': {
      config.size('in_channels');
      const stride = pair('stride', [1, 1]);
      return {
        kind: 'conv',
        path,
        out: config.size('out_channels'),
        window: pair('kernel_size'),
        stride,
        padding: paddingOf(config, path, stride),
        dilation: pair('dilation', [1, 1]),
        groups: config.size('groups', 1),
        bias,
      };
    }
    case 'BatchNorm1d':
    case 'BatchNorm2d':
      config.value('num_features');
      return { kind: 'batch_norm', path, eps: config.number('eps', 1e-5) };
    case 'ReLU':
      return { kind: 'relu', path };
    case 'ReLU6':
      return { kind: 'clip', path, low: 0, high: 6 };
    case 'MaxPool2d': {
      const window = pair('kernel_size');
      const stride = pair('stride', window);
      const [padding, dilation] = [pair('padding', [0, 0]), pair('dilation', [1, 1])];
      return { kind: 'max_pool', path, window, stride, padding, dilation, ceil: config.flag('ceil_mode', false) };
    }
    case 'AvgPool2d': {
      const window = pair('kernel_size');
      const [stride, padding] = [pair('stride', window), pair('padding', [0, 0])];
      const [ceil, countPadding] = [config.flag('ceil_mode', false), config.flag('count_include_pad', true)];
      return { kind: 'avg_pool', path, window, stride, padding, ceil, countPadding };
    }
    case 'AdaptiveAvgPool2d':
      if (pair('output_size').some((size) => size !== 1)) throw unknownModule(path, `${type} of other sizes than 1`);
      return { kind: 'global_pool', path };
    case 'Subsample': {
      const channels = (key: string): number => {
        const value = config.value(key) ?? 0;
        if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 24) return value;
        throw wrong(`${path}: ${key}`, 'a number of channels', value);
      };
      const [before, after] = [channels('channels_before'), channels('channels_after')];
      return { kind: 'subsample', path, stride: pair('stride'), before, after };
    }
    case 'Linear':
      config.size('in_features');
      return { kind: 'linear', path, out: config.size('out_features'), bias };
    case 'Dropout':
    case 'Dropout2d':
      config.value('p');
      return null;
    case 'Flatten':
    case 'Identity':
      return null;
    default:
      throw unknownModule(path, type);
  }
}

/** Sizes, or PyTorch's words; its `same` is of stride 1 alone. */
function paddingOf(config: ConfigReader, path: string, stride: Pair): Padding {
  const value = config.value('padding');
  if (value === 'valid') return [0, 0];
  if (value === 'same' && stride.every((step) => step === 1)) return 'same';
  return pairOf(value, [0, 0], `${path}: padding`);
}

function pairOf(value: unknown, fallback: Pair | undefined, at: string): Pair {
  const whole = (entry: unknown): entry is number => typeof entry === 'number' && Number.isInteger(entry) && entry >= 0;
  if (whole(value)) return [value, value];
  if (Array.isArray(value) && value.length === 2 && whole(value[0]) && whole(value[1])) return [value[0], value[1]];
  if (value === undefined && fallback) return fallback;
  throw wrong(at, 'one or two whole numbers', value);
}

function wrong(at: string, expected: string, got: unknown): CircuitscopeError {
  return new CircuitscopeError('bad_config', `${at} must be ${expected}.`, {
    at,
    expected,
    got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
  });
}

function unknownModule(path: string, type: string): CircuitscopeError {
  const known =
    'Conv2d, BatchNorm1d, BatchNorm2d, ReLU, ReLU6, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Linear, Dropout, Identity, Sequential, Residual, Concat, Subsample';
  return new CircuitscopeError('unsupported_architecture', `The module ${path} is a ${type}; supported are ${known}.`, {
    at: path,
    expected: known,
    got: type,
  });
}
