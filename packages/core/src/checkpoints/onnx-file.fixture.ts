// ONNX files written field by field, so that tests can also write wrong ones.

export type Bytes = readonly number[];

export const varint = (value: number | bigint): Bytes => {
  const bytes: number[] = [];
  for (let left = BigInt.asUintN(64, BigInt(value)); ; left >>= 7n) {
    if (left < 128n) return [...bytes, Number(left)];
    bytes.push(Number(left & 127n) | 128);
  }
};
export const int = (number: number, value: number | bigint): Bytes => [...varint(number * 8), ...varint(value)];
export const message = (number: number, ...parts: readonly Bytes[]): Bytes => {
  const inside = parts.flat();
  return [...varint(number * 8 + 2), ...varint(inside.length), ...inside];
};
export const text = (number: number, value: string): Bytes => message(number, [...new TextEncoder().encode(value)]);

export const tensor = (name: string, shape: readonly number[], more: Bytes, type = 1): Bytes =>
  message(5, ...shape.map((size) => int(1, size)), int(2, type), text(8, name), more);
export const raw = (values: readonly number[]): Bytes =>
  message(9, [...new Uint8Array(Float32Array.from(values).buffer)]);
export const external = (entries: Readonly<Record<string, string>>): Bytes =>
  Object.entries(entries).flatMap(([key, value]) => message(13, text(1, key), text(2, value)));

export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: readonly Bytes[]
): Bytes =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...attributes,
  );
export const ints = (name: string, values: readonly number[]): Bytes =>
  message(5, text(1, name), ...values.map((value) => int(8, value)));
export const integer = (name: string, value: number): Bytes => message(5, text(1, name), int(3, value));
export const real = (name: string, value: number): Bytes =>
  message(5, text(1, name), [...varint(2 * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)]);
export const word = (name: string, value: string): Bytes => message(5, text(1, name), text(4, value));

export const value = (number: 11 | 12, name: string, shape: readonly number[]): Bytes =>
  message(
    number,
    text(1, name),
    message(2, message(1, int(1, 1), message(2, ...shape.map((size) => message(1, int(1, size)))))),
  );

export const onnxFile = (graph: readonly Bytes[], opset = 17): Uint8Array =>
  Uint8Array.from([...int(1, 8), ...message(7, ...graph), ...message(8, int(2, opset))]);

/** images [1, 1, 2, 2] → Conv w [2, 1, 1, 1] → Relu → Flatten → Gemm fc [3, 8]. */
export const smallNet: readonly Bytes[] = [
  node('Conv', ['images', 'c.weight'], ['c'], ints('kernel_shape', [1, 1])),
  node('Relu', ['c'], ['r']),
  node('Flatten', ['r'], ['f']),
  node('Gemm', ['f', 'fc.weight', 'fc.bias'], ['logits'], integer('transB', 1)),
  tensor('c.weight', [2, 1, 1, 1], raw([1, -1])),
  tensor('fc.weight', [3, 8], raw(Array.from({ length: 24 }, (_, i) => i))),
  tensor('fc.bias', [3], raw([1, 2, 3])),
  value(11, 'images', [1, 1, 2, 2]),
  value(12, 'logits', [1, 3]),
];
