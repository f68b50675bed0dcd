import type { Checkpoint, StoredTensor } from '../checkpoints/index.ts';
import type { Rng } from '../tensor/index.ts';

/** What a setting may be replaced by. */
const values: readonly unknown[] = [
  ...[null, true, false, 0, 1, 2, 3, 7, -1, 0.5, 1e-300, 1e308, 4097, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1],
  ...['', 'x', 'gelu', 'relu', 'toString', '__proto__', '1e9', [], {}, [1, 2], [0], [2 ** 31 - 1], [[[]]], { a: 1 }],
];
const names = ['', 'x', '__proto__', 'constructor', 'n_layer', 'rope_scaling', 'model_type', 'blocks.0.attn.W_Q'];

/** The checkpoint with one to three mistakes in its settings, or in names, shapes and types of its tensors. Files stay as they are. */
export function wrongCheckpoint(base: Checkpoint, rng: Rng): Checkpoint {
  let config: unknown = structuredClone(base.config);
  const tensors = new Map(base.tensors);
  for (let mistakes = 1 + rng.below(3); mistakes > 0; mistakes--) {
    if (rng.below(4) === 0 && tensors.size > 0) wrongTensor(tensors, rng);
    else config = wrongValue(config, rng);
  }
  return { ...base, config, tensors };
}

function wrongValue(value: unknown, rng: Rng): unknown {
  const pick = <T>(list: readonly T[]): T | undefined => list[rng.below(list.length)];
  if (Array.isArray(value) && value.length > 0) {
    const at = rng.below(value.length);
    const [kind, entry] = [rng.below(6), value[at] as unknown];
    if (kind === 0) return value.slice(0, at);
    if (kind === 1) return [...value, entry];
    return value.with(at, kind === 2 ? pick(values) : wrongValue(entry, rng));
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (entries.length === 0) return pick(values);
  const at = rng.below(entries.length);
  const [key, own] = entries[at] ?? ['', undefined];
  switch (rng.below(8)) {
    case 0:
      return Object.fromEntries(entries.toSpliced(at, 1));
    case 1:
      return Object.fromEntries([...entries, [pick(names) ?? '', pick(values)]]);
    case 2: {
      const [other, moved] = pick(entries) ?? ['', undefined];
      return Object.fromEntries([...entries, [key, moved], [other, own]]);
    }
    case 3:
    case 4:
      return Object.fromEntries(entries.with(at, [key, wrongValue(own, rng)]));
    default:
      return Object.fromEntries([...entries, [key, pick(values)]]);
  }
}

function wrongTensor(tensors: Map<string, StoredTensor>, rng: Rng): void {
  const all = [...tensors.values()];
  const [one, other] = [all[rng.below(all.length)], all[rng.below(all.length)]];
  if (!one || !other) return;
  const place = (tensor: StoredTensor): void => void tensors.set(tensor.name, tensor);
  switch (rng.below(6)) {
    case 0:
      tensors.delete(one.name);
      return;
    case 1:
      place({ ...one, name: names[rng.below(names.length)] ?? '' });
      return;
    case 2:
      tensors.delete(one.name);
      place({ ...one, name: one.name.replace(/\d+/, (layer) => String(Number(layer) + 1 + rng.below(3))) });
      return;
    case 3:
      place({ ...one, shape: other.shape });
      place({ ...other, shape: one.shape });
      return;
    case 4:
      place({ ...one, shape: one.shape.map((size) => (rng.below(2) === 0 ? size : rng.below(2 ** 31))) });
      return;
    default:
      place({ ...one, dtype: rng.below(2) === 0 ? 'i64' : 'f16', shape: rng.below(2) === 0 ? one.shape : [] });
  }
}
