import { basename, dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { type ByteSource, fileSource } from './byte-source.ts';
import {
  bytesOfEntries,
  type Checkpoint,
  hashFiles,
  remembered,
  type StoredDtype,
  type StoredTensor,
  sortedFiles,
} from './checkpoint.ts';
import { type ProtoField, ProtoReader } from './protobuf.ts';
import { fileLength } from './read-bytes.ts';

/** A value of a node's attribute; a tensor among them stands with the others, under the node's output. */
export type OnnxAttribute = number | string | readonly number[];

export interface OnnxNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: { readonly [name: string]: OnnxAttribute };
}

/** What an ONNX file says of its net, as plain data. */
export interface OnnxNet {
  readonly model_type: 'onnx';
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  /** Inputs that are no weights, with their sizes; 0 where a size is not fixed. */
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly outputs: readonly string[];
}

/** Whether a configuration is that of an ONNX file. */
export function isOnnxNet(config: unknown): config is OnnxNet {
  return typeof config === 'object' && config !== null && 'model_type' in config && config.model_type === 'onnx';
}

const limits = { nodes: 100_000, tensors: 100_000, rank: 8, nameBytes: 4096, ints: 4096, externalFiles: 64 } as const;

const types: ReadonlyMap<number, StoredDtype> = new Map([
  [1, 'f32'],
  [2, 'u8'],
  [3, 'i8'],
  [4, 'u16'],
  [5, 'i16'],
  [6, 'i32'],
  [7, 'i64'],
  [9, 'bool'],
  [10, 'f16'],
  [11, 'f64'],
  [12, 'u32'],
  [13, 'u64'],
  [16, 'bf16'],
]);

/**
 * An ONNX file: the nodes of its graph as configuration, its initialisers as tensors, which stay where they lie, in the
 * file or in one beside it. What the operations mean is not said here.
 *
 * @throws CircuitscopeError `bad_onnx`, `missing_file`.
 */
export function openOnnx(path: string): Checkpoint & { readonly config: OnnxNet } {
  const { net, tensors } = readOnnx(fileSource(path), (name) => fileLength(join(dirname(path), name)));
  const paths = [...new Set([path, ...tensors.map(({ file }) => file)])];
  const files = sortedFiles(paths.map((file) => ({ path: file, byteLength: fileLength(file) })));
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return { kind: 'onnx', path, config: net, tensors: byName, files, contentHash: remembered(() => hashFiles(files)) };
}

/** @param lengthBeside bytes of a file in the same folder */
export function readOnnx(
  source: ByteSource,
  lengthBeside: (name: string) => number,
): { readonly net: OnnxNet; readonly tensors: StoredTensor[] } {
  return new OnnxReader(source, lengthBeside).run();
}

class OnnxReader {
  readonly #source: ByteSource;
  readonly #proto: ProtoReader;
  readonly #lengthBeside: (name: string) => number;
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #nodes: OnnxNode[] = [];

  constructor(source: ByteSource, lengthBeside: (name: string) => number) {
    this.#source = source;
    this.#proto = new ProtoReader(source, 'bad_onnx');
    this.#lengthBeside = lengthBeside;
  }

  run(): { readonly net: OnnxNet; readonly tensors: StoredTensor[] } {
    let opset = 0;
    let graph: ProtoField | undefined;
    for (const field of this.#proto.fields(0, this.#source.length)) {
      if (field.number === 7 && field.kind === 'bytes') {
        if (graph) throw this.#bad('it has two graphs', 'one', 'two');
        graph = field;
      } else if (field.number === 8) opset = Math.max(opset, this.#opset(field));
      else if (field.number === 25) throw this.#bad('it defines functions of its own', 'none', 'some');
    }
    if (!graph) throw this.#bad('it has no graph', 'a ModelProto', 'none');
    if (opset < 7 || opset > 25) throw this.#bad('its set of operations is not known', 'opset 7 to 25', `${opset}`);
    const inputs: { name: string; shape: readonly number[] }[] = [];
    const outputs: string[] = [];
    for (const field of this.#inside(graph)) {
      if (field.number === 1) this.#node(field);
      else if (field.number === 5) this.#tensor(field, undefined);
      else if (field.number === 11) inputs.push(this.#value(field));
      else if (field.number === 12) outputs.push(this.#value(field).name);
      else if (field.number === 15) throw this.#bad('it holds sparse tensors', 'dense ones', 'sparse ones');
    }
    const free = inputs.filter(({ name }) => !this.#tensors.has(name));
    return {
      net: { model_type: 'onnx', opset, nodes: this.#nodes, inputs: free, outputs },
      tensors: [...this.#tensors.values()],
    };
  }

  #inside(field: ProtoField): Iterable<ProtoField> {
    if (field.kind !== 'bytes') throw this.#bad('a message is none', 'bytes', field.kind);
    return this.#proto.fields(field.start, field.end);
  }

  #opset(field: ProtoField): number {
    let domain = '';
    let version = 0;
    for (const part of this.#inside(field)) {
      if (part.number === 1) domain = this.#name(part);
      else if (part.number === 2) version = this.#proto.int(part);
    }
    return domain === '' || domain === 'ai.onnx' ? version : 0;
  }

  #node(field: ProtoField): void {
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes = new Map<string, OnnxAttribute>();
    let [op, name, domain] = ['', '', ''];
    const tensors: ProtoField[] = [];
    for (const part of this.#inside(field)) {
      if (part.number === 1) inputs.push(this.#name(part));
      else if (part.number === 2) outputs.push(this.#name(part));
      else if (part.number === 3) name = this.#name(part);
      else if (part.number === 4) op = this.#name(part);
      else if (part.number === 7) domain = this.#name(part);
      else if (part.number === 5) {
        const [key, value, tensor] = this.#attribute(part);
        if (attributes.has(key)) throw this.#bad(`${name || op} has the attribute ${key} twice`, 'once', 'twice');
        if (value !== undefined) attributes.set(key, value);
        if (tensor) tensors.push(tensor);
      }
    }
    if (domain !== '' && domain !== 'ai.onnx') op = `${domain}.${op}`;
    for (const tensor of tensors) this.#tensor(tensor, outputs[0]);
    this.#nodes.push({ op, name, inputs, outputs, attributes: Object.fromEntries(attributes) });
    if (this.#nodes.length > limits.nodes) throw this.#bad('it has too many nodes', `${limits.nodes}`, 'more');
  }

  #attribute(field: ProtoField): readonly [string, OnnxAttribute | undefined, ProtoField | undefined] {
    let name = '';
    let value: OnnxAttribute | undefined;
    let tensor: ProtoField | undefined;
    const ints: number[] = [];
    for (const part of this.#inside(field)) {
      if (part.number === 1) name = this.#name(part);
      else if (part.number === 2) value = this.#proto.float(part);
      else if (part.number === 3) value = this.#proto.int(part);
      else if (part.number === 4) value = this.#name(part);
      else if (part.number === 5) tensor = part;
      else if (part.number === 8) ints.push(...this.#proto.ints(part, limits.ints));
      else if (part.number === 6 || part.number === 7 || (part.number >= 9 && part.number <= 15))
        throw this.#bad(
          `the attribute ${name} is a graph or a list of floats or texts`,
          'numbers or one text',
          'another',
        );
      if (ints.length > limits.ints) throw this.#bad(`the attribute ${name} is too long`, `${limits.ints}`, 'more');
    }
    return [name, ints.length > 0 ? ints : value, tensor];
  }

  /** @param called its name, where it is a node's attribute */
  #tensor(field: ProtoField, called: string | undefined): void {
    let name = called ?? '';
    let type = 0;
    const shape: number[] = [];
    let data: ProtoField | undefined;
    let inline = 0;
    const external = new Map<string, string>();
    for (const part of this.#inside(field)) {
      if (part.number === 1) shape.push(...this.#proto.ints(part, limits.rank));
      else if (part.number === 2) type = this.#proto.int(part);
      else if (part.number === 8 && called === undefined) name = this.#name(part);
      else if (part.number === 9) data = part;
      else if (part.number === 4 && part.kind === 'bytes') [data, inline] = [part, 1];
      else if ([4, 5, 6, 7, 10, 11].includes(part.number)) inline = 2;
      else if (part.number === 13) this.#entry(part, external);
    }
    const dtype = types.get(type);
    const count = shape.reduce((product, size) => product * size, 1);
    const fits = shape.length <= limits.rank && shape.every((size) => size >= 0) && Number.isSafeInteger(8 * count);
    if (!dtype || !fits)
      throw this.#bad(
        `the tensor ${name} has a type or shape that is not read`,
        'floats or integers',
        `type ${type}, [${shape.join(', ')}]`,
      );
    if (inline === 2 || (inline === 1 && dtype !== 'f32'))
      throw this.#bad(`the tensor ${name} is stored number by number`, 'raw data', 'a list');
    if (this.#tensors.has(name)) throw this.#bad(`two tensors are called ${name}`, 'names that differ', name);
    if (this.#tensors.size >= limits.tensors) throw this.#bad('it has too many tensors', `${limits.tensors}`, 'more');
    const byteLength = bytesOfEntries(dtype, count);
    const place = external.size > 0 ? this.#beside(name, external, byteLength) : this.#within(name, data, byteLength);
    this.#tensors.set(name, { name, dtype, shape, ...place, byteLength });
  }

  #within(name: string, data: ProtoField | undefined, byteLength: number): { file: string; byteOffset: number } {
    const start = data?.kind === 'bytes' ? data.start : 0;
    const length = data?.kind === 'bytes' ? data.end - data.start : 0;
    if (length !== byteLength)
      throw this.#bad(`shape and data of the tensor ${name} disagree`, `${byteLength} bytes`, `${length} bytes`);
    return { file: this.#source.at, byteOffset: start };
  }

  /** A file of the same folder, by its bare name. */
  #beside(
    name: string,
    external: ReadonlyMap<string, string>,
    byteLength: number,
  ): { file: string; byteOffset: number } {
    const [location = '', offset = '0', length = `${byteLength}`] = ['location', 'offset', 'length'].map((key) =>
      external.get(key),
    );
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}$/.test(location) || basename(location) !== location)
      throw this.#bad(
        `the tensor ${name} lies in no bare file name`,
        'a name in the same folder',
        location.slice(0, 80),
      );
    const [at, size] = [Number(offset), Number(length)];
    if (!/^\d{1,15}$/.test(offset) || size !== byteLength || at + size > this.#lengthBeside(location))
      throw this.#bad(
        `the tensor ${name} is not in ${location}`,
        `${byteLength} bytes at ${offset.slice(0, 20)}`,
        `${length.slice(0, 20)} bytes`,
      );
    return { file: join(dirname(this.#source.at), location), byteOffset: at };
  }

  #entry(field: ProtoField, into: Map<string, string>): void {
    let [key, value] = ['', ''];
    for (const part of this.#inside(field)) {
      if (part.number === 1) key = this.#name(part);
      else if (part.number === 2) value = this.#name(part);
    }
    if (into.has(key)) throw this.#bad(`external data says ${key} twice`, 'once', 'twice');
    into.set(key, value);
  }

  #value(field: ProtoField): { name: string; shape: readonly number[] } {
    let name = '';
    const shape: number[] = [];
    for (const part of this.#inside(field)) {
      if (part.number === 1) name = this.#name(part);
      if (part.number !== 2) continue;
      for (const type of this.#inside(part)) {
        if (type.number !== 1) continue;
        for (const tensor of this.#inside(type)) {
          if (tensor.number !== 2) continue;
          for (const dim of this.#inside(tensor)) if (dim.number === 1) shape.push(this.#size(dim));
        }
      }
    }
    if (shape.length > limits.rank)
      throw this.#bad(`${name} has too many dimensions`, `${limits.rank}`, `${shape.length}`);
    return { name, shape };
  }

  #size(field: ProtoField): number {
    let size = 0;
    for (const part of this.#inside(field)) if (part.number === 1) size = this.#proto.int(part);
    return Math.max(0, size);
  }

  #name(field: ProtoField): string {
    return this.#proto.text(field, limits.nameBytes);
  }

  #bad(what: string, expected: string, got: string): CircuitscopeError {
    const { at } = this.#source;
    return new CircuitscopeError('bad_onnx', `${at} is not a usable ONNX file: ${what}; export it again.`, {
      at,
      expected,
      got,
    });
  }
}
