import { deflateRawSync } from 'node:zlib';
import { crc32 } from './crc32.ts';

export interface FileToZip {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly deflate?: boolean;
}

/** A zip archive as torch.save and numpy lay it out; with `large`, with the 64-bit end record that PyTorch always writes. */
export function zipFile(files: readonly FileToZip[], { large = true }: { readonly large?: boolean } = {}): Uint8Array {
  const local: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { name, bytes, deflate = false } of files) {
    const stored = deflate ? new Uint8Array(deflateRawSync(bytes)) : bytes;
    const text = new TextEncoder().encode(name);
    const shared = [...u16(0x0808), ...u16(deflate ? 8 : 0), ...u32(0), ...u32(crc32(bytes))];
    const sizes = [...u32(stored.length), ...u32(bytes.length), ...u16(text.length), ...u16(0)];
    const header = Uint8Array.from([...u32(0x04034b50), ...u16(20), ...shared, ...sizes, ...text]);
    central.push(
      Uint8Array.from([
        ...u32(0x02014b50),
        ...u16(20),
        ...u16(20),
        ...shared,
        ...sizes,
        ...u16(0),
        ...u16(0),
        ...u16(0),
        ...u32(0),
        ...u32(offset),
        ...text,
      ]),
    );
    local.push(header, stored);
    offset += header.length + stored.length;
  }
  const size = central.reduce((sum, { length }) => sum + length, 0);
  const numbers = [...u64(files.length), ...u64(files.length), ...u64(size), ...u64(offset)];
  const record = [...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0), ...numbers];
  const locator = [...u32(0x07064b50), ...u32(0), ...u64(offset + size), ...u32(1)];
  const counts = [...u16(files.length), ...u16(files.length), ...u32(size), ...u32(offset)];
  const end = [...u32(0x06054b50), ...u16(0), ...u16(0), ...counts, ...u16(0)];
  return joined([...local, ...central, Uint8Array.from([...(large ? [...record, ...locator] : []), ...end])]);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

export const u16 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
export const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
export const u64 = (value: number): number[] => [...u32(value >>> 0), ...u32(Math.floor(value / 2 ** 32))];
