// Just enough of the ONNX protobuf (onnx.proto3) to write the graphs that are timed: nodes with numbers and texts as
// attributes, constants, inputs and outputs of known shape.

export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: 'f32' | 'i64';
}

export interface OnnxConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

type Attribute = number | string | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  /** Left out: the standard operators. */
  readonly domain?: string;
  readonly in: readonly string[];
  readonly out: readonly string[];
  /** A plain number is an integer. */
  readonly attributes?: { readonly [name: string]: Attribute };
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants: readonly OnnxConstant[];
}

const IR_VERSION = 9;
const OPSET = 18;
/** The only foreign operators that are used, and their version. */
const CONTRIB = { domain: 'com.microsoft', version: 1 };

const elementTypes = { f32: 1, i64: 7 } as const;
/** Numbers of `AttributeProto.AttributeType`. */
const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 } as const;

const encoder = new TextEncoder();

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  // Of integers, ONNX has negative ones too: ten bytes of two's complement.
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const key = (field: number, wire: 0 | 2 | 5): Uint8Array => varint(field * 8 + wire);
const integer = (field: number, value: number): Uint8Array => joined([key(field, 0), varint(value)]);
const bytes = (field: number, value: Uint8Array): Uint8Array => joined([key(field, 2), varint(value.length), value]);
const text = (field: number, value: string): Uint8Array => bytes(field, encoder.encode(value));
const message = (field: number, ...parts: readonly Uint8Array[]): Uint8Array => bytes(field, joined(parts));
function float(field: number, value: number): Uint8Array {
  const four = new Uint8Array(4);
  new DataView(four.buffer).setFloat32(0, value, true);
  return joined([key(field, 5), four]);
}

function attribute(name: string, value: Attribute): Uint8Array {
  const parts = [text(1, name)];
  if (typeof value === 'number') parts.push(integer(3, value), integer(20, attributeTypes.int));
  else if (typeof value === 'string') parts.push(text(4, value), integer(20, attributeTypes.string));
  else if ('float' in value) parts.push(float(2, value.float), integer(20, attributeTypes.float));
  else parts.push(...value.map((entry) => integer(8, entry)), integer(20, attributeTypes.ints));
  return message(5, ...parts);
}

const node = ({ op, domain, in: inputs, out, attributes = {} }: OnnxNode): Uint8Array =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...out.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    ...(domain === undefined ? [] : [text(7, domain)]),
  );

const constant = ({ name, shape, data }: OnnxConstant): Uint8Array =>
  message(
    5,
    ...shape.map((size) => integer(1, size)),
    integer(2, data instanceof Float32Array ? elementTypes.f32 : elementTypes.i64),
    text(8, name),
    bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  );

function value(field: 11 | 12, { name, shape, type }: OnnxValue): Uint8Array {
  const dimensions = shape.map((size) => message(1, integer(1, size)));
  return message(
    field,
    text(1, name),
    message(2, message(1, integer(1, elementTypes[type]), message(2, ...dimensions))),
  );
}

/** The bytes of a model file. */
export function onnxModel({ nodes, inputs, outputs, constants }: OnnxModel): Uint8Array<ArrayBuffer> {
  return joined([
    integer(1, IR_VERSION),
    text(2, 'circuitscope'),
    message(
      7,
      ...nodes.map(node),
      text(2, 'timed'),
      ...constants.map(constant),
      ...inputs.map((each) => value(11, each)),
      ...outputs.map((each) => value(12, each)),
    ),
    message(8, text(1, ''), integer(2, OPSET)),
    message(8, text(1, CONTRIB.domain), integer(2, CONTRIB.version)),
  ]);
}
