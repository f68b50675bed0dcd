import { CircuitscopeError } from '@circuitscope/schema';
import { parseJson } from './parse-json.ts';

/** A layer as its configuration lists it; what its settings mean is not said here. */
export interface KerasLayer {
  /** Its type, such as `Conv2D`. */
  readonly type: string;
  readonly name: string;
  readonly settings: { readonly [name: string]: unknown };
  /** Where its inputs come from, in a net that is no stack: unread, for its spelling changed between versions. */
  readonly inbound: unknown;
}

/** What a Keras model says of itself, and which stored tensors belong to which layer. */
export interface KerasNet {
  readonly model_type: 'keras';
  readonly kind: 'stack' | 'graph';
  readonly layers: readonly KerasLayer[];
  /** The whole of its settings: inputs and outputs of a graph, the input size of a stack. */
  readonly settings: { readonly [name: string]: unknown };
  /** Names of tensors by layer, in the order in which they were written. */
  readonly weights: { readonly [layer: string]: readonly string[] };
}

export function isKerasNet(config: unknown): config is KerasNet {
  return typeof config === 'object' && config !== null && 'model_type' in config && config.model_type === 'keras';
}

const kinds = new Map<unknown, KerasNet['kind']>([
  ['Sequential', 'stack'],
  ['Functional', 'graph'],
  ['Model', 'graph'],
]);

/** More than any honest net. */
const MOST_LAYERS = 20_000;

/**
 * A net's configuration as Keras serialises it, without weights yet.
 * @throws CircuitscopeError `bad_config`, `unsupported_architecture` for nets whose layers are code (subclassed models)
 */
export function parseKeras(config: unknown, at: string): Omit<KerasNet, 'weights'> {
  const outer = objectOf(config, at, 'a model');
  const kind = kinds.get(outer.class_name);
  if (!kind) {
    const got = String(outer.class_name).slice(0, 80);
    throw new CircuitscopeError(
      'unsupported_architecture',
      `${at} is a Keras model of class ${got}; only Sequential and Functional ones say what they compute without code of their own.`,
      { at, expected: 'Sequential, Functional', got },
    );
  }
  // Very old Sequential models are a bare list of layers.
  const settings = Array.isArray(outer.config) ? { layers: outer.config } : objectOf(outer.config, at, 'its settings');
  const { layers } = settings;
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > MOST_LAYERS)
    throw bad(at, `layers must be a list of 1 to ${MOST_LAYERS} layers`);
  const names = new Set<string>();
  return {
    model_type: 'keras',
    kind,
    settings,
    layers: layers.map((entry: unknown) => {
      const layer = objectOf(entry, at, 'a layer');
      const own = objectOf(layer.config, at, 'the settings of a layer');
      const name = own.name ?? layer.name;
      if (typeof layer.class_name !== 'string' || typeof name !== 'string' || name === '' || names.has(name))
        throw bad(at, 'every layer must have a class_name and a name of its own');
      names.add(name);
      return { type: layer.class_name, name, settings: own, inbound: layer.inbound_nodes };
    }),
  };
}

/** JSON inside a model file, at most `maxBytes` long. */
export function kerasJson(bytes: Uint8Array, at: string, maxBytes = 32_000_000): unknown {
  if (bytes.length > maxBytes) throw bad(at, `its configuration is longer than ${maxBytes} bytes`);
  return parseJson(bytes, { code: 'bad_config', at, maxDepth: 64 });
}

function objectOf(value: unknown, at: string, what: string): { readonly [key: string]: unknown } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw bad(at, `${what} must be an object`);
}

function bad(at: string, what: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_config',
    `${at} has no usable Keras configuration: ${what}; save the model again.`,
    {
      at,
      expected: what,
    },
  );
}
