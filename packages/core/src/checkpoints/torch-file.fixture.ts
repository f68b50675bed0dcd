import { joined, u32, u64, zipFile } from './zip-file.fixture.ts';

// Pickles and torch files written instruction by instruction, so that tests can also write wrong ones.

type Code = readonly number[];

export const op = {
  text: (value: string): Code => {
    const bytes = new TextEncoder().encode(value);
    return [0x58, ...u32(bytes.length), ...bytes];
  },
  int: (value: number): Code => [0x4a, ...u32(value >>> 0)],
  none: [0x4e] as Code,
  no: [0x89] as Code,
  mark: [0x28] as Code,
  tuple: (...items: readonly Code[]): Code => [0x28, ...items.flat(), 0x74],
  list: (...items: readonly Code[]): Code => [0x5d, 0x28, ...items.flat(), 0x65],
  dict: (entries: readonly (readonly [Code, Code])[]): Code => [0x7d, 0x28, ...entries.flat(2), 0x75],
  global: (module: string, name: string): Code => [0x63, ...new TextEncoder().encode(`${module}\n${name}\n`)],
  call: (callee: Code, ...args: readonly Code[]): Code => [...callee, ...op.tuple(...args), 0x52],
  persistent: (id: Code): Code => [...id, 0x51],
  whole: (value: Code): Uint8Array => Uint8Array.from([0x80, 2, ...value, 0x2e]),
};

export const orderedDict = (entries: readonly (readonly [Code, Code])[]): Code => [
  ...op.call(op.global('collections', 'OrderedDict')),
  ...op.mark,
  ...entries.flat(2),
  0x75,
];

export interface TensorToPickle {
  readonly key: string;
  readonly count: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset?: number;
  readonly type?: string;
  readonly view?: Code;
}

export function tensor({ key, count, shape, strides, offset = 0, type = 'FloatStorage', view }: TensorToPickle): Code {
  const id = [op.text('storage'), op.global('torch', type), op.text(key), op.text('cpu'), op.int(count)];
  return op.call(
    op.global('torch._utils', '_rebuild_tensor_v2'),
    op.persistent(op.tuple(...id, ...(view ? [view] : []))),
    op.int(offset),
    op.tuple(...shape.map(op.int)),
    op.tuple(...strides.map(op.int)),
    op.no,
    op.call(op.global('collections', 'OrderedDict')),
  );
}

/** Two tensors: `w` [2, 3] column-major, `b` [3]; their values count from 1. */
export const twoTensors: readonly TensorToPickle[] = [
  { key: '0', count: 6, shape: [2, 3], strides: [1, 2] },
  { key: '1', count: 3, shape: [3], strides: [1] },
];

export const stateDict = (tensors: readonly TensorToPickle[] = twoTensors): Code =>
  orderedDict(tensors.map((each, i) => [op.text('wbcdefgh'[i] ?? `t${i}`), tensor(each)]));

export const floats = (count: number): Uint8Array =>
  new Uint8Array(Float32Array.from({ length: count }, (_, i) => i + 1).buffer);

/** As torch.save writes since PyTorch 1.6. */
export function torchZip(
  value: Code = stateDict(),
  storages: Readonly<Record<string, Uint8Array>> = { 0: floats(6), 1: floats(3) },
  more: Readonly<Record<string, Uint8Array>> = {},
): Uint8Array {
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  return zipFile([
    { name: 'archive/data.pkl', bytes: op.whole(value) },
    { name: 'archive/byteorder', bytes: text('little') },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, bytes })),
    ...Object.entries(more).map(([name, bytes]) => ({ name: `archive/${name}`, bytes })),
    { name: 'archive/version', bytes: text('3\n') },
  ]);
}

const magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/** As torch.save wrote before, and does with `_use_new_zipfile_serialization=False`. */
export function torchLegacy(
  value: Code = stateDict(),
  storages: Readonly<Record<string, Uint8Array>> = { 0: floats(6), 1: floats(3) },
  width = 4,
): Uint8Array {
  return joined([
    op.whole(magic),
    op.whole([0x4d, 0xe9, 0x03]),
    op.whole(op.dict([[op.text('little_endian'), [0x88]]])),
    op.whole(value),
    op.whole(op.list(...Object.keys(storages).map(op.text))),
    ...Object.values(storages).flatMap((bytes) => [Uint8Array.from(u64(bytes.length / width)), bytes]),
  ]);
}
