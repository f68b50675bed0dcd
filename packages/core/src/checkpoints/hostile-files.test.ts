import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { type ByteSource, memorySource } from './byte-source.ts';
import { bytesOfEntries, type StoredTensor } from './checkpoint.ts';
import { readGguf } from './gguf.ts';
import { ggufFile, meta } from './gguf-file.fixture.ts';
import { type Hdf5Object, readHdf5 } from './hdf5.ts';
import { dataset, group, hdf5File } from './hdf5-file.fixture.ts';
import { expectSurvives, hostileRuns } from './hostile.fixture.ts';
import { inflated, inflatedStart } from './inflate.ts';
import { kerasJson, parseKeras } from './keras.ts';
import { openLlama2c } from './llama2c.ts';
import { parseNpy, readNpz } from './npy.ts';
import { readOnnx } from './onnx.ts';
import { external, int, onnxFile, tensor as onnxTensor, smallNet } from './onnx-file.fixture.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readKerasArchive, readKerasHdf5 } from './open-keras.ts';
import { parseJson } from './parse-json.ts';
import { type Pickled, unpickle } from './pickle.ts';
import { type ProtoField, ProtoReader } from './protobuf.ts';
import { readPytorch } from './pytorch.ts';
import { readStored, readStoredFloat64 } from './read-stored.ts';
import { parseSafetensorsHeader } from './safetensors.ts';
import { floats, op, stateDict, torchLegacy, torchZip } from './torch-file.fixture.ts';
import { torchNames } from './torch-values.ts';
import { writeSafetensors } from './write-safetensors.ts';
import { readZip } from './zip.ts';
import { joined, u16, u64, zipFile } from './zip-file.fixture.ts';

// Every reader of this room over files with a few wrong bytes, sizes, parts and levels: a right value, or a typed error that names
// the file, in memory that the file's own size bounds. `CIRCUITSCOPE_FUZZ` says how many files each gets.

const root = mkdtempSync(join(tmpdir(), 'circuitscope-hostile-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Every tensor lies in its file, as long as its shape says; now and then its values are read, in a multiple of the file. */
function checked(tensors: Iterable<StoredTensor>, lengthOf: (file: string) => number): void {
  for (const { shape, dtype, byteOffset, byteLength, strides, deflated, chunks, file } of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    for (const place of chunks?.pieces ?? [deflated ?? { byteOffset, byteLength }]) {
      if (!(place.byteOffset >= 0 && place.byteOffset + place.byteLength <= lengthOf(file)))
        throw new Error(`a tensor at ${place.byteOffset} + ${place.byteLength} of ${file}`);
    }
    if (strides ? bytesOfEntries(dtype, count) > byteLength : bytesOfEntries(dtype, count) !== byteLength)
      throw new Error(`[${shape}] of ${dtype} in ${byteLength} bytes`);
  }
}

function valuesRead(tensors: Iterable<StoredTensor>): void {
  for (const each of tensors) {
    const weight = ['f32', 'f64', 'f16', 'bf16'].includes(each.dtype) || each.dtype.startsWith('q');
    const { length } = weight ? readStored(each) : readStoredFloat64(each);
    expect(length).toBe(each.shape.reduce((product, size) => product * size, 1));
  }
}

interface Reader {
  readonly name: string;
  readonly file: string;
  readonly bases: readonly Uint8Array[];
  /** The file around what was spoilt, where checksums or lengths would otherwise catch every mistake. */
  readonly around?: (bytes: Uint8Array) => Uint8Array;
  readonly tensors: (source: ByteSource) => Iterable<StoredTensor>;
  /** Deflate shrinks zeros to a thousandth. */
  readonly packed?: boolean;
}

const q8 = new Uint8Array(68).fill(3);
const gguf = ggufFile(
  [
    meta.text('general.architecture', 'none'),
    meta.u32('general.alignment', 32),
    meta.texts('list', ['a', '', 'ü']),
    meta.f32s('scores', [1, 2]),
    meta.i32s('types', [1, -1]),
    meta.flag('flag', true),
    meta.f32('eps', 1e-5),
  ],
  [
    { name: 'w', shape: [2, 3], type: 0, bytes: floats(6) },
    { name: 'q', shape: [2, 32], type: 8, bytes: q8 },
    { name: 'k', shape: [1, 256], type: 10, bytes: new Uint8Array(84).fill(17) },
  ],
);
const npyHead = (shape: string, order = 'False'): string =>
  `{'descr': '<f4', 'fortran_order': ${order}, 'shape': ${shape}, }          \n`;
function npy(header: string, data: Uint8Array): Uint8Array {
  const text = utf8(header);
  return joined([Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, ...u16(text.length)]), text, data]);
}
const arrays = [npy(npyHead('(2, 3)'), floats(6)), npy(npyHead('(3, 2)', 'True'), floats(6))];
const safetensorsHeader =
  '{"__metadata__":{"format":"pt"},"h.0.w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"h.0.b":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"idx":{"dtype":"I64","shape":[1,1],"data_offsets":[28,36]}}';
const underHeader = (header: Uint8Array): Uint8Array =>
  joined([Uint8Array.from(u64(header.length)), header, new Uint8Array(36)]);
const onnx = onnxFile([...smallNet, onnxTensor('far', [2], external({ location: 'w.data', offset: '8' }))]);
const zipOf = (bytes: Uint8Array, deflate: boolean): Uint8Array =>
  zipFile([
    { name: 'a.npy', bytes, deflate },
    { name: 'b.npy', bytes: arrays[0] ?? bytes, deflate: !deflate },
  ]);
const pickled = op.whole(stateDict());
/** A zip archive around these bytes as its pickle, with the right checksum. */
const torchAround = (bytes: Uint8Array): Uint8Array =>
  zipFile([
    { name: 'archive/data.pkl', bytes },
    { name: 'archive/data/0', bytes: floats(6) },
    { name: 'archive/data/1', bytes: floats(3) },
  ]);

const twelve = Array.from({ length: 12 }, (_, i) => i);
const hdf5 = hdf5File(
  group(
    {
      plain: dataset([2, 3], new Float32Array(6).fill(2)),
      small: dataset([3], new Float32Array(3).fill(2), { compact: true }),
      cut: dataset([3, 4], twelve, { chunk: [2, 3] }),
      packed: dataset([3, 4], twelve, { chunk: [2, 3], filters: ['shuffle', 'deflate'] }),
      inner: group({ w: dataset([], [7]) }, { names: ['a', 'bcd'] }),
    },
    { model_config: '{}' },
  ),
);
const kerasConfig = JSON.stringify({
  class_name: 'Sequential',
  config: { layers: [{ class_name: 'Dense', config: { name: 'fc', units: 2 } }] },
});
const kernel = { 'kernel:0': dataset([3, 2], new Float32Array(6).fill(2)) };
const keras = hdf5File(
  group({ model_weights: group({ fc: group(kernel, { weight_names: ['kernel:0'] }) }) }, { model_config: kerasConfig }),
);
const variables = group({ 0: dataset([3, 2], new Float32Array(6).fill(2)) }, { name: 'fc' });
const kerasVariables = hdf5File(group({ layers: group({ dense: group({ vars: variables }) }) }));

/** Every dataset under an object; its texts are read too. */
function* everyDataset(object: Hdf5Object): Generator<StoredTensor> {
  for (const attribute of ['model_config', 'names']) object.texts(attribute);
  if (object.kind === 'dataset') yield object.tensor(object.path);
  else for (const member of object.members().values()) yield* everyDataset(member);
}

const readers: readonly Reader[] = [
  {
    name: 'safetensors',
    file: 'm.safetensors',
    bases: [underHeader(utf8(safetensorsHeader))],
    tensors: (source) => parseSafetensorsHeader(source.read(0, source.length), source.length, source.at).tensors,
  },
  {
    name: 'safetensors, header of the right length',
    file: 'm.safetensors',
    bases: [utf8(safetensorsHeader)],
    around: underHeader,
    tensors: (source) => parseSafetensorsHeader(source.read(0, source.length), source.length, source.at).tensors,
  },
  {
    name: 'PyTorch, zip and legacy',
    file: 'm.pt',
    bases: [torchZip(), torchLegacy()],
    tensors: readPytorch,
  },
  {
    name: 'PyTorch, a pickle with the right checksum',
    file: 'm.pt',
    bases: [pickled],
    around: torchAround,
    tensors: readPytorch,
  },
  { name: 'npy', file: 'm.npy', bases: arrays, tensors: (source) => [parseNpy(source, 'array')] },
  {
    name: 'npz',
    file: 'm.npz',
    bases: [zipOf(arrays[1] ?? new Uint8Array(), false), zipOf(arrays[0] ?? new Uint8Array(), true)],
    tensors: readNpz,
    packed: true,
  },
  {
    name: 'npz, arrays packed again',
    file: 'm.npz',
    bases: arrays,
    around: (bytes) => zipOf(bytes, true),
    tensors: readNpz,
    packed: true,
  },
  { name: 'GGUF', file: 'm.gguf', bases: [gguf], tensors: (source) => readGguf(source).tensors },
  {
    name: 'ONNX',
    file: 'm.onnx',
    bases: [onnx],
    tensors: (source) => readOnnx(source, (name) => (name === 'w.data' ? 64 : 0)).tensors,
  },
  { name: 'HDF5', file: 'm.h5', bases: [hdf5], tensors: (source) => everyDataset(readHdf5(source)), packed: true },
  { name: 'Keras, HDF5', file: 'm.h5', bases: [keras], tensors: (source) => readKerasHdf5(source).tensors },
  {
    name: 'Keras, an archive around a file of weights',
    file: 'm.keras',
    bases: [kerasVariables],
    around: (bytes) =>
      zipFile([
        { name: 'config.json', bytes: utf8(kerasConfig), deflate: true },
        { name: 'model.weights.h5', bytes },
      ]),
    tensors: (source) => readKerasArchive(source).tensors,
  },
];

describe('a container with mistakes gives tensors inside the file, or an error that names it', () => {
  writeFileSync(join(root, 'w.data'), new Uint8Array(64));
  for (const { name, file, bases, around = (bytes: Uint8Array) => bytes, tensors, packed = false } of readers) {
    test(name, () => {
      const path = join(root, file);
      let taken = 0;
      const runs = hostileRuns(1500);
      // Blocks of two bits unpack to 13 times their bytes, bytes to eight times in float64, and deflated zeros to a thousand times
      // what they take: what a deflated array says of itself is believed up to that.
      const most = (bytes: Uint8Array): number => (packed ? 64 : 16) * around(bytes).length + 4096;
      const count = expectSurvives({
        name,
        file: path,
        bases,
        runs,
        most,
        read: (spoilt) => {
          const bytes = around(spoilt);
          const found = [...tensors(memorySource(path, bytes))];
          checked(found, (each) => (each === path ? bytes.length : 64));
          if (taken++ % 16 > 0) return;
          writeFileSync(path, bytes);
          valuesRead(found);
        },
      });
      expect(count).toBeGreaterThan(runs / 200);
    });
  }
});

describe('the readers inside them', () => {
  // The runtime's own few bytes, and what a file asks for.
  const most = (bytes: Uint8Array): number => 64 + 4 * bytes.length;

  test('zip archives: entries inside the archive, none over another', () => {
    const base = zipFile([
      { name: 'a/b', bytes: floats(3) },
      { name: 'c', bytes: floats(9), deflate: true },
      { name: 'd', bytes: new Uint8Array() },
    ]);
    const small = zipFile([{ name: 'a', bytes: floats(2) }], { large: false });
    const read = (bytes: Uint8Array): void => {
      let sum = 0;
      for (const { byteOffset, byteLength } of readZip(memorySource('m.zip', bytes)).values()) {
        if (byteOffset + byteLength > bytes.length) throw new Error('an entry outside');
        sum += byteLength;
      }
      if (sum > bytes.length) throw new Error('entries over each other');
    };
    expectSurvives({ name: 'zip', file: 'm.zip', bases: [base, small], runs: hostileRuns(1500), most, read });
  });

  test('deflate streams: what was announced, and a beginning that stays short', () => {
    const plain = Uint8Array.from({ length: 600 }, (_, i) => (i * i) >> 5);
    const zeros = new Uint8Array(4000);
    const bases = [plain, zeros].map((bytes) => new Uint8Array(deflateRawSync(bytes)));
    expectSurvives({
      name: 'deflate',
      file: 'm.npz: a',
      bases,
      runs: hostileRuns(1500),
      most,
      read: (bytes, base) => {
        inflatedStart(bytes, 64, 'm.npz: a');
        const length = base === 0 ? plain.length : zeros.length;
        if (inflated(bytes, length, 'm.npz: a').length !== length) throw new Error('another length');
      },
    });
  });

  test('pickles: data alone, of a size that the bytes bound', () => {
    const shared = [0x5d, 0x71, 0, 0x68, 0, 0x68, 0, 0x86, 0x71, 1, 0x68, 1, 0x87];
    const more = op.whole(
      op.dict([
        [op.text('long'), [0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
        [op.text('float'), [0x47, 1, 2, 3, 4, 5, 6, 7, 8]],
        [op.text('bytes'), [0x43, 2, 1, 2]],
        [op.text('shared'), shared],
      ]),
    );
    const size = (value: Pickled<unknown>): number => (typeof value === 'string' ? value.length : 1);
    expectSurvives({
      name: 'pickle',
      file: 'm.pkl',
      bases: [pickled, more],
      runs: hostileRuns(1500),
      most,
      read: (bytes) => {
        const { value, end } = unpickle(bytes, 0, 'm.pkl', torchNames(new Map()));
        if (end > bytes.length || size(value) > bytes.length) throw new Error('more than there is');
      },
    });
  });

  test('protobuf messages: fields inside those that hold them', () => {
    const base = onnxFile([...smallNet, int(9, 2 ** 40)]);
    expectSurvives({
      name: 'protobuf',
      file: 'm.onnx',
      bases: [base],
      runs: hostileRuns(1500),
      most,
      read: (bytes) => {
        const proto = new ProtoReader(memorySource('m.onnx', bytes), 'bad_onnx');
        // The graph, its nodes and tensors: what is known to be a message.
        const visit = (fields: Iterable<ProtoField>, end: number, messages: readonly (readonly number[])[]): void => {
          for (const field of fields) {
            if (field.kind === 'varint') continue;
            if (field.end > end) throw new Error('a field outside');
            if (field.kind === 'bytes' && messages[0]?.includes(field.number))
              visit(proto.fields(field.start, field.end), field.end, messages.slice(1));
          }
        };
        visit(proto.fields(0, bytes.length), bytes.length, [[7], [1, 5]]);
      },
    });
  });

  test('Keras configurations: layers with names of their own', () => {
    expectSurvives({
      name: 'Keras configuration',
      file: 'm.h5',
      bases: [utf8(kerasConfig)],
      runs: hostileRuns(1500),
      most,
      read: (bytes) => {
        const { layers } = parseKeras(kerasJson(bytes, 'm.h5'), 'm.h5');
        if (new Set(layers.map(({ name }) => name)).size !== layers.length) throw new Error('a name twice');
      },
    });
  });

  test('JSON: what JSON.parse reads, or less', () => {
    const base = utf8('{"a":[1,-2.5e3,{"b":"x:\\"{[","c":null}],"":true,"a\\u0062":{"a":1},"l":[[[[[]]]]]}');
    expectSurvives({
      name: 'JSON',
      file: 'x.json',
      bases: [base],
      runs: hostileRuns(3000),
      most,
      read: (bytes) => {
        const value = parseJson(bytes, { code: 'bad_config', at: 'x.json' });
        const expected: unknown = JSON.parse(Buffer.from(bytes).toString());
        if (JSON.stringify(value) !== JSON.stringify(expected)) throw new Error('another value');
      },
    });
  });
});

test('llama2.c: a length that is the header’s, or an error', () => {
  // dim 4, hidden 6, 2 layers, 2 heads, 1 key head, 3 tokens, context 5
  const entries = 3 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + 5 + 5;
  const header = new Uint8Array(Int32Array.of(4, 6, 2, 2, 1, 3, 5).buffer);
  const path = join(root, 'm.bin');
  const base = joined([header, floats(entries)]);
  let taken = 0;
  expectSurvives({
    name: 'llama2.c',
    file: path,
    bases: [base],
    runs: hostileRuns(300),
    most: (bytes) => 16 * bytes.length + 4096,
    read: (bytes) => {
      // Mistakes would seldom meet the 28 bytes that matter: half of the files have theirs there alone.
      writeFileSync(path, bytes.length % 2 === 0 ? bytes : joined([bytes.subarray(0, 28), base.subarray(28)]));
      const { tensors, files } = openLlama2c(path);
      checked(tensors.values(), () => files[0]?.byteLength ?? 0);
      if (taken++ % 16 === 0) valuesRead(tensors.values());
    },
  });
});

describe('a directory with one file that has mistakes', () => {
  const f32 = (name: string) => ({ name, dtype: 'f32' as const, shape: [2], data: Float32Array.of(1, 2) });
  const layouts: readonly { readonly name: string; readonly make: (folder: string) => readonly string[] }[] = [
    {
      name: 'safetensors in shards',
      make: (folder) => {
        writeSafetensors(join(folder, 's1.safetensors'), [f32('a')]);
        writeSafetensors(join(folder, 's2.safetensors'), [f32('b'), f32('c')]);
        const map = { a: 's1.safetensors', b: 's2.safetensors', c: 's2.safetensors' };
        const index = { metadata: { total_size: 24 }, weight_map: map };
        writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
        return ['config.json', 'model.safetensors.index.json', 's1.safetensors'];
      },
    },
    {
      name: 'PyTorch in shards',
      make: (folder) => {
        writeFileSync(join(folder, 'p1.bin'), torchZip());
        const index = { weight_map: { w: 'p1.bin', b: 'p1.bin' } };
        writeFileSync(join(folder, 'pytorch_model.bin.index.json'), JSON.stringify(index));
        return ['config.json', 'pytorch_model.bin.index.json', 'p1.bin'];
      },
    },
    {
      name: 'npz',
      make: (folder) => {
        writeFileSync(join(folder, 'model.npz'), zipOf(arrays[0] ?? new Uint8Array(), true));
        return ['config.json', 'model.npz'];
      },
    },
    {
      name: 'a list of modules',
      make: (folder) => {
        writeSafetensors(join(folder, 'model.safetensors'), [f32('0.weight')]);
        rmSync(join(folder, 'config.json'));
        const layers = [{ path: '0', type: 'Conv2d', arguments: { in_channels: 1, kernel_size: [3, 3] } }];
        writeFileSync(join(folder, 'layers.json'), JSON.stringify(layers));
        return ['layers.json', 'model.safetensors'];
      },
    },
  ];

  test.each(layouts)('$name', ({ name, make }) => {
    const folder = join(root, name.replaceAll(' ', '-'));
    mkdirSync(folder);
    writeFileSync(join(folder, 'config.json'), '{"model_type":"x","n_layer":2,"deep":{"list":[1,2,[3]]}}');
    const files = make(folder).map((file) => join(folder, file));
    const bases = files.map((file) => readFileSync(file));
    expectSurvives({
      name: `directory, ${name}`,
      file: folder,
      bases,
      runs: hostileRuns(80),
      most: (bytes) => 64 * bytes.length + 4096,
      read: (bytes, at) => {
        const file = files[at] ?? '';
        writeFileSync(file, bytes);
        try {
          const { tensors } = openCheckpoint(folder);
          checked(tensors.values(), (each) => readFileSync(each).length);
          valuesRead(tensors.values());
        } finally {
          writeFileSync(file, bases[at] ?? bytes);
        }
      },
    });
  });
});
