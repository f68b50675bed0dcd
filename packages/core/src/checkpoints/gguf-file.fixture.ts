import { joined, u32, u64 } from './zip-file.fixture.ts';

/** Metadata values with their type numbers, as the format has them. */
export type Meta = readonly [key: string, type: number, bytes: readonly number[]];

export const text = (value: string): number[] => {
  const bytes = new TextEncoder().encode(value);
  return [...u64(bytes.length), ...bytes];
};
export const meta = {
  text: (key: string, value: string): Meta => [key, 8, text(value)],
  u32: (key: string, value: number): Meta => [key, 4, u32(value)],
  f32: (key: string, value: number): Meta => [key, 6, [...new Uint8Array(Float32Array.of(value).buffer)]],
  flag: (key: string, value: boolean): Meta => [key, 7, [value ? 1 : 0]],
  i32s: (key: string, values: readonly number[]): Meta => [
    key,
    9,
    [...u32(5), ...u64(values.length), ...values.flatMap((value) => u32(value))],
  ],
  f32s: (key: string, values: readonly number[]): Meta => [
    key,
    9,
    [...u32(6), ...u64(values.length), ...new Uint8Array(Float32Array.from(values).buffer)],
  ],
  texts: (key: string, values: readonly string[]): Meta => [
    key,
    9,
    [...u32(8), ...u64(values.length), ...values.flatMap(text)],
  ],
};

export interface TensorToPack {
  readonly name: string;
  /** Row-major; the file lists it turned round. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
  /** In place of the right one. */
  readonly offset?: number;
}

/** A GGUF file of version 3 with alignment 32. */
export function ggufFile(metadata: readonly Meta[], tensors: readonly TensorToPack[]): Uint8Array {
  const head: number[] = [
    ...new TextEncoder().encode('GGUF'),
    ...u32(3),
    ...u64(tensors.length),
    ...u64(metadata.length),
  ];
  for (const [key, type, bytes] of metadata) head.push(...text(key), ...u32(type), ...bytes);
  let offset = 0;
  const padding = (length: number): number => (32 - (length % 32)) % 32;
  for (const { name, shape, type, bytes, offset: given } of tensors) {
    head.push(
      ...text(name),
      ...u32(shape.length),
      ...[...shape].reverse().flatMap(u64),
      ...u32(type),
      ...u64(given ?? offset),
    );
    offset += bytes.length + padding(bytes.length);
  }
  const parts: Uint8Array[] = [Uint8Array.from(head), new Uint8Array(padding(head.length))];
  for (const { bytes } of tensors) parts.push(bytes, new Uint8Array(padding(bytes.length)));
  return joined(parts);
}
