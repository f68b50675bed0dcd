import { constants } from 'node:buffer';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import type { Tensor } from '@circuitscope/core/tensor';
import { CircuitscopeError } from '@circuitscope/schema';
import { convertIndexedToRgb, decode as decodePng } from 'fast-png';
import { decode as decodeJpeg } from 'jpeg-js';

// A photo as a net reads it: [channels, height, width] between 0 and 1. What the file says of its own size is checked before
// anything is decoded, and only what makes the picture reaches the decoder.

const MOST_BYTES = 64 << 20;
const MOST_PIXELS = 1 << 24;

export const pictureEndings = ['.png', '.jpg', '.jpeg'] as const;

/**
 * PNG (grey, RGB, palette; 1 to 16 bits) and JPEG. Grey pictures have one channel. An alpha channel is dropped where nothing is
 * transparent.
 * @throws CircuitscopeError `bad_images`
 */
export function decodePicture(path: string): Tensor {
  const bytes = readPicture(path);
  const refuse = (what: string): CircuitscopeError =>
    new CircuitscopeError('bad_images', `${path}: ${what}; give a PNG or JPEG picture, or an .npy array.`, {
      at: path,
    });
  try {
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return fromJpeg(bytes, refuse);
    if (bytes.subarray(0, 8).equals(signature)) return fromPng(bytes, refuse);
  } catch (cause) {
    if (cause instanceof CircuitscopeError) throw cause;
    // Decoders throw what they like.
    throw refuse(`it cannot be decoded (${String(cause instanceof Error ? cause.message : cause).slice(0, 120)})`);
  }
  throw refuse('it does not begin as a picture');
}

type Refuse = (what: string) => CircuitscopeError;

function readPicture(path: string): Buffer {
  const found = existsSync(path) ? statSync(path) : null;
  if (found?.isFile() && found.size <= MOST_BYTES) return readFileSync(path);
  const why = found ? `is no file of at most ${MOST_BYTES} bytes` : 'does not exist';
  throw new CircuitscopeError(found ? 'bad_images' : 'missing_file', `${path} ${why}; check the path.`, { at: path });
}

function fromJpeg(bytes: Buffer, refuse: Refuse): Tensor {
  const { width, height, components } = jpegFrame(bytes, refuse);
  checkSize(width, height, refuse);
  const { data } = decodeJpeg(bytes, {
    formatAsRGBA: false,
    useTArray: true,
    maxResolutionInMP: MOST_PIXELS / 1e6,
    maxMemoryUsageInMB: 1024,
  });
  const rgb = planes(data, { width, height, stored: 3, channels: components === 1 ? 1 : 3, most: 255 });
  return rgb;
}

/** What the frame header says: the first marker SOF that stands outside the data of a scan. */
function jpegFrame(bytes: Buffer, refuse: Refuse) {
  for (let at = 2; at + 9 < bytes.length; ) {
    if (bytes[at] !== 0xff) throw refuse(`byte ${at} is no marker`);
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (frame) {
      const [height, width, components] = [bytes.readUInt16BE(at + 5), bytes.readUInt16BE(at + 7), bytes[at + 9] ?? 0];
      if (components !== 1 && components !== 3) throw refuse(`it has ${components} components in place of 1 or 3`);
      return { width, height, components };
    }
    if (marker === 0xda) break;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  throw refuse('it has no frame header');
}

const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

function fromPng(bytes: Buffer, refuse: Refuse): Tensor {
  const kept: Buffer[] = [signature];
  const data: Buffer[] = [];
  let size = { width: 0, height: 0 };
  for (let at = 8, name = ''; name !== 'IEND'; ) {
    if (at + 12 > bytes.length) throw refuse('it ends within a chunk');
    const length = bytes.readUInt32BE(at);
    name = bytes.toString('latin1', at + 4, at + 8);
    if (at + 12 + length > bytes.length) throw refuse(`its chunk ${name} is longer than the file`);
    const chunk = bytes.subarray(at, at + 12 + length);
    if (name === 'IHDR' && length >= 8) size = { width: chunk.readUInt32BE(8), height: chunk.readUInt32BE(12) };
    if (name === 'IDAT') data.push(chunk.subarray(8, 8 + length));
    // Texts and profiles may unpack to any size, and say nothing of the pixels.
    if (['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND'].includes(name)) kept.push(chunk);
    at += 12 + length;
  }
  checkSize(size.width, size.height, refuse);
  // At most 4 entries of 16 bits a pixel, a filter byte a line, and seven passes of an interlaced picture.
  const most = 8 * size.width * size.height + 8 * (size.width + size.height) + 64;
  inflateSync(Buffer.concat(data), { maxOutputLength: Math.min(most, constants.MAX_LENGTH) });
  const png = decodePng(Buffer.concat(kept), { checkCrc: true });
  const { width, height, depth, palette } = png;
  if (palette) {
    const stored = palette[0]?.length ?? 3;
    const indexed = convertIndexedToRgb(png);
    return withoutAlpha(indexed, { width, height, stored, most: 255 }, refuse);
  }
  if (png.transparency) throw refuse('one of its colours is transparent; draw it on a ground');
  return withoutAlpha(png.data, { width, height, stored: png.channels, most: 2 ** depth - 1 }, refuse);
}

interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Entries of a pixel. */
  readonly stored: number;
  /** What 1 is stored as. */
  readonly most: number;
}

function withoutAlpha(data: ArrayLike<number>, pixels: Pixels, refuse: Refuse): Tensor {
  const { stored, most, width, height } = pixels;
  if (data.length !== width * height * stored) throw refuse(`${data.length} entries for ${width} × ${height} pixels`);
  const channels = stored === 2 || stored === 4 ? stored - 1 : stored;
  if (channels !== stored) {
    for (let at = channels; at < data.length; at += stored)
      if (data[at] !== most) throw refuse('parts of it are transparent; draw it on a ground');
  }
  return planes(data, { ...pixels, channels });
}

/** [height, width, channel] to [channel, height, width], between 0 and 1. */
function planes(data: ArrayLike<number>, pixels: Pixels & { readonly channels: number }): Tensor {
  const { width, height, stored, channels, most } = pixels;
  const plane = width * height;
  const out = new Float32Array(channels * plane);
  for (let pixel = 0; pixel < plane; pixel++)
    for (let channel = 0; channel < channels; channel++)
      out[channel * plane + pixel] = (data[pixel * stored + channel] ?? 0) / most;
  return { shape: [channels, height, width], data: out };
}

function checkSize(width: number, height: number, refuse: Refuse): void {
  if (width > 0 && height > 0 && width * height <= MOST_PIXELS) return;
  throw refuse(`it says that it is ${width} × ${height}, of at most ${MOST_PIXELS} pixels`);
}
