import { bytesPerEntry, type StoredDtype } from './checkpoint.ts';
import { isKind, type Pickled, type PickledDict, type PickleNames } from './pickle.ts';

/** What PyTorch's pickles may name: types of storages and of entries, storages, and tensors that are views of them. */
export type TorchValue =
  | { readonly kind: 'storageType'; readonly dtype: StoredDtype | 'untyped' }
  | { readonly kind: 'dtype'; readonly dtype: StoredDtype }
  | { readonly kind: 'function'; readonly name: string }
  | TorchStorage
  | TorchTensor;

/** A run of entries that the file holds under a key. Legacy files may name a part of one. */
export interface TorchStorage {
  readonly kind: 'storage';
  readonly key: string;
  readonly dtype: StoredDtype | 'untyped';
  /** Entries of the whole storage, or bytes of an untyped one. */
  readonly count: number;
  /** First entry and number of entries of the part. */
  readonly from: number;
  readonly length: number;
}

/** Entry (i, j, …) is number `offset + i·strides[0] + j·strides[1] + …` of the storage. */
export interface TorchTensor {
  readonly kind: 'tensor';
  readonly storage: TorchStorage;
  readonly dtype: StoredDtype;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export type TorchPickled = Pickled<TorchValue>;
export type TorchDict = PickledDict<TorchValue>;

const maxRank = 8;

const dtypes = {
  float64: 'f64',
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  int64: 'i64',
  int32: 'i32',
  int16: 'i16',
  int8: 'i8',
  uint64: 'u64',
  uint32: 'u32',
  uint16: 'u16',
  uint8: 'u8',
  bool: 'bool',
} as const satisfies { readonly [torch: string]: StoredDtype };

const storageTypes = {
  Double: 'f64',
  Float: 'f32',
  Half: 'f16',
  BFloat16: 'bf16',
  Long: 'i64',
  Int: 'i32',
  Short: 'i16',
  Char: 'i8',
  Byte: 'u8',
  Bool: 'bool',
} as const satisfies { readonly [torch: string]: StoredDtype };

const functions = [
  'collections OrderedDict',
  'torch Size',
  'torch._utils _rebuild_tensor',
  'torch._utils _rebuild_tensor_v2',
  'torch._utils _rebuild_tensor_v3',
  'torch._utils _rebuild_parameter',
];

/** Everything that a pickle of PyTorch may name here. */
const globals: ReadonlyMap<string, TorchValue> = new Map<string, TorchValue>([
  ...functions.map((name) => [name, { kind: 'function', name }] as const),
  ...Object.entries(dtypes).map(([name, dtype]) => [`torch ${name}`, { kind: 'dtype', dtype }] as const),
  ...Object.entries(storageTypes).flatMap(([name, dtype]) =>
    ['torch', 'torch.cuda'].map((module) => [`${module} ${name}Storage`, { kind: 'storageType', dtype }] as const),
  ),
  ['torch.storage UntypedStorage', { kind: 'storageType', dtype: 'untyped' }],
]);

/** The names of one file. @param seen gets every storage that the file names, by key; two that disagree are refused. */
export function torchNames(seen: Map<string, TorchStorage>): PickleNames<TorchValue> {
  return {
    global: (name) => globals.get(name),
    call: (callee, args) => (callee.kind === 'function' ? call(callee.name, args) : undefined),
    persistent: (id) => {
      const storage = storageOf(id);
      const before = storage && seen.get(storage.key);
      if (before && (before.dtype !== storage.dtype || before.count !== storage.count)) return undefined;
      if (storage) seen.set(storage.key, storage);
      return storage;
    },
  };
}

function call(name: string, args: readonly TorchPickled[]): TorchPickled | undefined {
  if (name === 'collections OrderedDict') return orderedDict(args);
  if (name === 'torch Size') return args.length === 1 && isKind(args[0], 'tuple') ? args[0] : undefined;
  if (name === 'torch._utils _rebuild_parameter') return madeTensor(args[0]) && args.length === 3 ? args[0] : undefined;
  return tensorOf(name, args);
}

/** Without arguments, or with one list of pairs as Python 2 wrote it. */
function orderedDict(args: readonly TorchPickled[]): TorchPickled | undefined {
  const entries = new Map<TorchPickled, TorchPickled>();
  const [pairs] = args;
  if (args.length > 1 || (pairs !== undefined && !isKind(pairs, 'list'))) return undefined;
  for (const pair of pairs?.items ?? []) {
    if (!isKind(pair, 'tuple') && !isKind(pair, 'list')) return undefined;
    const [key, value] = pair.items;
    if (key === undefined || value === undefined || pair.items.length !== 2 || entries.has(key)) return undefined;
    entries.set(key, value);
  }
  return { kind: 'dict', ordered: true, entries };
}

/** `(storage, offset, size, stride)`; version 2 adds requires_grad, hooks and metadata, version 3 the type before metadata. */
function tensorOf(name: string, args: readonly TorchPickled[]): TorchPickled | undefined {
  const [least, most] = name.endsWith('_v3') ? [7, 8] : name.endsWith('_v2') ? [5, 7] : [4, 4];
  if (args.length < least || args.length > most) return undefined;
  const [stored, offset, size, stride] = args;
  const storage = isKind(stored, 'made') && stored.value.kind === 'storage' ? stored.value : undefined;
  const given = args[6];
  const typed =
    name.endsWith('_v3') && isKind(given, 'made') && given.value.kind === 'dtype' ? given.value.dtype : null;
  const dtype = typed ?? (storage?.dtype === 'untyped' ? undefined : storage?.dtype);
  const shape = sizes(size);
  const strides = sizes(stride);
  if (!storage || !dtype || !shape || !strides || shape.length !== strides.length || !isSize(offset)) return undefined;
  if (storage.dtype !== 'untyped' && storage.dtype !== dtype) return undefined;
  return { kind: 'made', value: { kind: 'tensor', storage, dtype, offset, shape, strides } };
}

/** `('storage', type, key, location, count)`; legacy files add None or `(view key, first entry, entries)`. */
function storageOf(id: TorchPickled): TorchStorage | undefined {
  if (!isKind(id, 'tuple') || id.items.length < 5 || id.items.length > 6) return undefined;
  const [word, type, key, location, count, view] = id.items;
  if (word !== 'storage' || typeof key !== 'string' || typeof location !== 'string' || !isSize(count)) return undefined;
  if (!isKind(type, 'made') || type.value.kind !== 'storageType') return undefined;
  const whole = { kind: 'storage', key, dtype: type.value.dtype, count } as const;
  if (view === undefined || view === null) return { ...whole, from: 0, length: count };
  if (!isKind(view, 'tuple') || view.items.length !== 3) return undefined;
  const [, from, length] = view.items;
  if (!isSize(from) || !isSize(length) || from + length > count) return undefined;
  return { ...whole, from, length };
}

export function madeTensor(value: TorchPickled | undefined): TorchTensor | undefined {
  return isKind(value, 'made') && value.value.kind === 'tensor' ? value.value : undefined;
}

export const storageEntryBytes = ({ dtype }: TorchStorage): number => (dtype === 'untyped' ? 1 : bytesPerEntry[dtype]);

const isSize = (value: TorchPickled | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function sizes(value: TorchPickled | undefined): number[] | undefined {
  if (!isKind(value, 'tuple') || value.items.length > maxRank) return undefined;
  return value.items.every(isSize) ? [...value.items] : undefined;
}
