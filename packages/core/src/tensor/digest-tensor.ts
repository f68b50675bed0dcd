import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import type { IntTensor, Tensor } from './tensor.ts';

/**
 * sha256 over type, shape and little-endian bytes, as `sha256:…`. −0 and 0 differ, as do 2×3 and 3×2; it is the content
 * digest of a tensor artefact. Server side only (node:crypto).
 */
export function digestTensor(value: Tensor | IntTensor): `sha256:${string}` {
  const { data, shape } = value;
  const type = data instanceof Float32Array ? 'f32' : data instanceof Float64Array ? 'f64' : 'i32';
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const hash = createHash('sha256').update(`${type} [${shape.join(',')}]\n`);
  hash.update(endianness() === 'LE' ? bytes : swapped(bytes, data.BYTES_PER_ELEMENT));
  return `sha256:${hash.digest('hex')}`;
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const result = Uint8Array.from(bytes);
  for (let at = 0; at < result.length; at += width) result.subarray(at, at + width).reverse();
  return result;
}
