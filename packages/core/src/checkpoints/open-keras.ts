import { CircuitscopeError } from '@circuitscope/schema';
import { type ByteSource, fileSource } from './byte-source.ts';
import { type Checkpoint, hashFiles, remembered, type StoredTensor } from './checkpoint.ts';
import { type Hdf5Object, readHdf5 } from './hdf5.ts';
import { badHdf5 } from './hdf5-cursor.ts';
import { inflated } from './inflate.ts';
import { type KerasLayer, type KerasNet, kerasJson, parseKeras } from './keras.ts';
import { readZip } from './zip.ts';

/**
 * A whole model as Keras saves it: one HDF5 file (`model.save('x.h5')`), or the archive of Keras 3 (`x.keras`) with the
 * configuration and an HDF5 file of weights. Weights stay where they lie. Nothing of the file is ever run.
 *
 * @throws CircuitscopeError `bad_hdf5`, `bad_config`, `bad_zip`, `unsupported_architecture`
 */
export function openKeras(path: string): Checkpoint & { readonly config: KerasNet } {
  const source = fileSource(path);
  const { net, tensors } = path.endsWith('.keras') ? readKerasArchive(source) : readKerasHdf5(source);
  const files = [{ path, byteLength: source.length }];
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return { kind: 'keras', path, config: net, tensors: byName, files, contentHash: remembered(() => hashFiles(files)) };
}

interface ReadNet {
  readonly net: KerasNet;
  readonly tensors: readonly StoredTensor[];
}

/** An HDF5 file: attribute `model_config`, group `model_weights` with a group for each layer. */
export function readKerasHdf5(source: ByteSource): ReadNet {
  const root = readHdf5(source);
  const [text] = root.texts('model_config') ?? [];
  if (text === undefined) {
    throw new CircuitscopeError(
      'bad_config',
      `${source.at} holds no model_config, so nothing says which layers it has; save the whole model with model.save, not its weights alone.`,
      { at: `${source.at}@model_config`, expected: 'a model saved whole', got: 'no configuration' },
    );
  }
  const net = parseKeras(kerasJson(new TextEncoder().encode(text), source.at), source.at);
  const groups = member(root, 'model_weights', source.at).members();
  return withWeights(net, ({ name }) => {
    const group = groups.get(name);
    return group
      ? listed(group, 'weight_names').map((path) => [
          `${name}/${path}`,
          path.split('/').reduce((from, step) => member(from, step, source.at), group),
        ])
      : [];
  });
}

/** A zip archive: `config.json`, and `model.weights.h5` with a group for each layer whose variables are numbered. */
export function readKerasArchive(source: ByteSource): ReadNet {
  const entries = readZip(source);
  const [config, weights] = ['config.json', 'model.weights.h5'].map((name) => {
    const entry = entries.get(name);
    if (entry) return entry;
    throw new CircuitscopeError('bad_zip', `${source.at} holds no ${name}; save the model again.`, { at: source.at });
  });
  if (!config || !weights) throw new TypeError('both were looked up');
  if (weights.method !== 'stored')
    throw badHdf5(`${source.at}: ${weights.name}`, 'it is deflated', 'stored, as Keras stores it', weights.method);
  // Checked before it is unpacked: JSON of this length was no net.
  if (config.unpackedBytes > 32_000_000)
    throw new CircuitscopeError('too_large', `${source.at}: config.json is too long.`);
  const packed = source.read(config.byteOffset, config.byteLength);
  const at = `${source.at}: config.json`;
  const json = config.method === 'stored' ? packed : inflated(packed, config.unpackedBytes, at);
  const net = parseKeras(kerasJson(json, at), at);
  const groups = member(readHdf5(source, weights.byteOffset, weights.byteLength), 'layers', source.at).members();
  const named = new Map<string, Hdf5Object>();
  for (const group of groups.values()) {
    const vars = group.members().get('vars');
    const [name] = vars?.texts('name') ?? [];
    if (vars && name !== undefined) named.set(name, vars);
  }
  const used = new Map<string, number>();
  return withWeights(net, ({ name, type }) => {
    // Groups are called after the class, numbered from the second one on; newer files also say the layer's name.
    const snake = snakeCase(type);
    const count = used.get(snake) ?? 0;
    used.set(snake, count + 1);
    const vars =
      named.get(name) ??
      groups
        .get(count === 0 ? snake : `${snake}_${count}`)
        ?.members()
        .get('vars');
    const found = [...(vars?.members() ?? [])].sort(([a], [b]) => Number(a) - Number(b));
    return found.map(([index, dataset]) => [`${name}/${index}`, dataset]);
  });
}

function withWeights(
  net: Omit<KerasNet, 'weights'>,
  of: (layer: KerasLayer) => readonly (readonly [name: string, dataset: Hdf5Object])[],
): ReadNet {
  const tensors: StoredTensor[] = [];
  const weights: Record<string, readonly string[]> = Object.create(null);
  for (const layer of net.layers) {
    const own = of(layer).map(([name, dataset]) => dataset.tensor(name));
    tensors.push(...own);
    weights[layer.name] = own.map(({ name }) => name);
  }
  return { net: { ...net, weights }, tensors };
}

/** A list of texts, which Keras cuts into several attributes where it is too long for one. */
function listed(group: Hdf5Object, attribute: string): readonly string[] {
  const whole = group.texts(attribute);
  if (whole) return whole;
  const parts: string[] = [];
  for (let i = 0; ; i++) {
    const part = group.texts(`${attribute}${i}`);
    if (!part) return parts;
    parts.push(...part);
  }
}

function member(group: Hdf5Object, name: string, at: string): Hdf5Object {
  const found = group.members().get(name);
  if (found) return found;
  throw badHdf5(`${at}: ${group.path || '/'}`, 'something that it names is not in it', name.slice(0, 80), 'nothing');
}

function snakeCase(type: string): string {
  return type
    .replaceAll(/\W+/g, '')
    .replaceAll(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
