import { CircuitscopeError } from '@circuitscope/schema';
import type { KerasLayer, KerasNet } from '../checkpoints/index.ts';

/** A layer and the layers whose values it reads. */
export interface PlacedLayer {
  readonly layer: KerasLayer;
  readonly inputs: readonly string[];
}

/** The layers of a Keras net such that each stands behind those that it reads, and the name of the one that gives the output. */
export interface KerasGraph {
  readonly layers: readonly PlacedLayer[];
  readonly output: string;
}

/** @throws CircuitscopeError `unsupported_architecture` for shared layers, several outputs, nets inside nets */
export function kerasGraph(net: KerasNet, path: string): KerasGraph {
  const bad = (what: string, expected: string, got: string): CircuitscopeError =>
    new CircuitscopeError('unsupported_architecture', `${path}: ${what}; expected is ${expected}.`, {
      at: path,
      expected,
      got,
    });
  if (net.kind === 'stack') {
    const layers = net.layers.map((layer, i) => ({ layer, inputs: i === 0 ? [] : [net.layers[i - 1]?.name ?? ''] }));
    return { layers, output: net.layers.at(-1)?.name ?? '' };
  }
  const outputs = tensorsIn(net.settings.output_layers);
  const [output] = outputs ?? [];
  if (outputs?.length !== 1 || output === undefined)
    throw bad('it gives several values', 'one output', `${outputs?.length ?? 0}`);
  const placed = net.layers.map((layer): PlacedLayer => {
    const calls = Array.isArray(layer.inbound) ? layer.inbound : [];
    const from = `the layer ${layer.name}`;
    if (calls.length > 1) throw bad(`${from} is used more than once`, 'one use of each layer', `${calls.length}`);
    const inputs = calls.length === 0 ? [] : tensorsIn(calls[0]);
    if (!inputs) throw bad(`${from} is called with more than tensors`, 'tensors alone', 'other arguments');
    return { layer, inputs };
  });
  // Each behind what it reads; what leads back to itself is never ready.
  const known = new Set<string>();
  const layers: PlacedLayer[] = [];
  let waiting = placed;
  while (waiting.length > 0) {
    const still = waiting.filter((each) => {
      if (!each.inputs.every((input) => known.has(input))) return true;
      known.add(each.layer.name);
      layers.push(each);
      return false;
    });
    if (still.length === waiting.length)
      throw bad(
        `the layer ${still[0]?.layer.name} reads what is not there`,
        'layers of this net',
        'others, or a cycle',
      );
    waiting = still;
  }
  return { layers, output };
}

/**
 * The layers whose first values are named in one call. Keras 2 writes [layer, call, value, arguments], Keras 3
 * `__keras_tensor__` objects among `args`; undefined where there is anything else.
 */
function tensorsIn(value: unknown, depth = 0): readonly string[] | undefined {
  if (depth > 6) return undefined;
  if (Array.isArray(value)) {
    const [layer, call, index, given] = value;
    if (typeof layer === 'string')
      return call === 0 && index === 0 && value.length <= 4 && plain(given) ? [layer] : undefined;
    const each = value.map((entry) => tensorsIn(entry, depth + 1));
    return each.every((found) => found !== undefined) ? each.flat() : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if ('class_name' in value) {
    const known = value.class_name === '__keras_tensor__' && 'config' in value;
    const config = known ? value.config : undefined;
    return typeof config === 'object' && config !== null && 'keras_history' in config
      ? tensorsIn(config.keras_history, depth + 1)
      : undefined;
  }
  if ('args' in value && 'kwargs' in value && plain(value.kwargs)) return tensorsIn(value.args, depth + 1);
  return undefined;
}

/** Arguments of a call that say nothing of what is computed. */
function plain(given: unknown): boolean {
  return Object.entries(Object(given ?? {})).every(
    ([key, value]) => key === 'training' || (key === 'mask' && value === null),
  );
}
