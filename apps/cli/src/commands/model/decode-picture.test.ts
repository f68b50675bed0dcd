import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { readNpy, readStoredFloat64 } from '@circuitscope/core/checkpoints';
import { CircuitscopeError } from '@circuitscope/schema';
import { encode } from 'fast-png';
import { encode as encodeJpeg } from 'jpeg-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';
import { decodePicture } from './decode-picture.ts';
import { readImages } from './read-images.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-pictures-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function stored(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const png = (name: string, channels: 1 | 2 | 3 | 4, data: readonly number[], depth: 8 | 16 = 8): string =>
  stored(
    name,
    encode({
      width: data.length / channels / 2,
      height: 2,
      channels,
      depth,
      data: depth === 8 ? Uint8Array.from(data) : Uint16Array.from(data),
    }),
  );

/** A chunk; checksums are of no account, since what is refused is refused before. */
const chunk = (name: string, data: Uint8Array): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(name, 'latin1'), data, Buffer.alloc(4)]);
};

describe('a PNG', () => {
  test('gives planes between 0 and 1', () => {
    const rgb = [255, 0, 51, 0, 0, 102, 10, 20, 30, 1, 2, 3];
    const { shape, data } = decodePicture(png('rgb.png', 3, rgb));
    expect(shape).toEqual([3, 2, 2]);
    const planes = [0, 1, 2].flatMap((channel) => [0, 1, 2, 3].map((pixel) => (rgb[pixel * 3 + channel] ?? 0) / 255));
    expect(data).toEqual(Float32Array.from(planes));
    expect(readImages(join(folder, 'rgb.png')).shape).toEqual([1, 3, 2, 2]);
    const grey = decodePicture(png('grey.png', 1, [0, 65535, 13107, 26214], 16));
    expect(grey).toEqual({ shape: [1, 2, 2], data: Float32Array.from([0, 1, 0.2, 0.4]) });
  });

  test('drops an alpha channel where nothing is transparent, and is refused where something is', () => {
    const opaque = decodePicture(png('opaque.png', 4, [255, 0, 51, 255, 0, 255, 0, 255]));
    expect([opaque.shape, [...opaque.data]]).toEqual([
      [3, 2, 1],
      [1, 0, 0, 1, Math.fround(0.2), 0],
    ]);
    expect(() => decodePicture(png('glass.png', 4, [255, 0, 51, 255, 0, 255, 0, 254]))).toThrow(/transparent/);
  });
});

describe.skipIf(!sharedFolder)(`recorded photos${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('JPEGs decode as they were decoded for the record, to three steps of 255 in the mean', () => {
    const names = readdirSync(sharedPath('data/vision/tinyvgg/images')).sort();
    const record = readNpy(sharedPath('data/vision/tinyvgg/images_rgb_u8.npy'));
    expect(record.shape).toEqual([names.length, 64, 64, 3]);
    const expected = readStoredFloat64(record);
    let total = 0;
    names.forEach((name, picture) => {
      const { shape, data } = decodePicture(sharedPath('data/vision/tinyvgg/images', name));
      // A grey picture is recorded three times over.
      const planes = shape[0] === 1 ? [0, 0, 0] : [0, 1, 2];
      expect(shape).toEqual([planes[1] === 0 ? 1 : 3, 64, 64]);
      for (let channel = 0; channel < 3; channel++)
        for (let pixel = 0; pixel < 4096; pixel++) {
          const wish = expected[(picture * 4096 + pixel) * 3 + channel] ?? Number.NaN;
          total += Math.abs((data[(planes[channel] ?? 0) * 4096 + pixel] ?? 0) * 255 - wish);
        }
    });
    // Decoders differ in how they interpolate colour; a wrong plane or order would be off by tens.
    expect(total / (names.length * 3 * 4096)).toBeLessThan(3);
  });
});

describe('what is refused', () => {
  const refusal = (path: string): CircuitscopeError => {
    try {
      decodePicture(path);
    } catch (error) {
      if (error instanceof CircuitscopeError) return error;
      throw error;
    }
    throw new Error(`${path} was taken`);
  };

  test('a size beyond all bounds, and pixels that unpack to more than the size', () => {
    const header = (width: number, height: number): Buffer => {
      const data = Buffer.alloc(13);
      data.writeUInt32BE(width);
      data.writeUInt32BE(height, 4);
      data.set([8, 2], 8);
      return chunk('IHDR', data);
    };
    const bomb = deflateSync(Buffer.alloc(1 << 24));
    const file = (width: number, height: number): Buffer =>
      Buffer.concat([
        Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
        header(width, height),
        chunk('IDAT', bomb),
        chunk('IEND', Buffer.alloc(0)),
      ]);
    expect(refusal(stored('huge.png', file(1 << 20, 1 << 20)))).toMatchObject({ code: 'bad_images' });
    expect(refusal(stored('bomb.png', file(2, 2))).message).toMatch(/bomb\.png: it cannot be decoded/);
    const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0]);
    expect(refusal(stored('huge.jpg', jpeg)).message).toMatch(/65535 × 65535/);
    expect(refusal(join(folder, 'nothing.png'))).toMatchObject({ code: 'missing_file' });
    expect(refusal(stored('text.png', Buffer.from('hello'))).message).toMatch(/does not begin/);
  });

  test('mutated pictures give a picture, or an error that names the file', () => {
    const runs = Number(process.env.CIRCUITSCOPE_FUZZ ?? 300);
    const noise = {
      width: 16,
      height: 12,
      data: Buffer.from(Array.from({ length: 16 * 12 * 4 }, (_, i) => (i * 37) % 256)),
    };
    const whole = [
      readFileSync(
        png(
          'base.png',
          3,
          Array.from({ length: 72 }, (_, i) => (i * 29) % 256),
        ),
      ),
      encodeJpeg(noise, 80).data,
    ];
    let seed = 1;
    const below = (end: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % end;
    };
    let refused = 0;
    for (let run = 0; run < runs; run++) {
      const bytes = Buffer.from(whole[run % 2] ?? []);
      for (let change = 0; change <= below(4); change++) bytes[below(bytes.length)] = below(256);
      const path = stored(
        run % 2 ? 'mutated.jpg' : 'mutated.png',
        bytes.subarray(0, bytes.length - below(8) * below(9)),
      );
      try {
        const { shape, data } = decodePicture(path);
        expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
      } catch (error) {
        expect(error).toBeInstanceOf(CircuitscopeError);
        expect(String(error)).toContain(path);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(runs / 4);
  });
});
