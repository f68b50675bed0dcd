import type { StoredChunks } from './checkpoint.ts';
import { badHdf5, type Hdf5Cursor } from './hdf5-cursor.ts';
import type { Hdf5Filter, Hdf5Layout } from './hdf5-messages.ts';

/** As of zip entries: a dataset that unpacks to far more than it holds is a trap and no model. */
const limits = { chunks: 200_000, chunkBytes: 1 << 30, ratio: 128, ratioFreeBytes: 1 << 26, depth: 32 } as const;

interface Dataset {
  readonly shape: readonly number[];
  readonly entryBytes: number;
  readonly filters: readonly Hdf5Filter[];
  readonly at: string;
}

/**
 * Where the chunks of a dataset lie, from its tree. Every chunk must be there once.
 * @throws CircuitscopeError `bad_hdf5`
 */
export function readChunks(
  { tree, sizes }: Extract<Hdf5Layout, { kind: 'chunked' }>,
  { shape, entryBytes, filters, at }: Dataset,
  cursor: (address: number | undefined, length: number) => Hdf5Cursor,
): StoredChunks {
  const chunk = sizes.slice(0, -1);
  const chunkBytes = chunk.reduce((product, size) => product * size, entryBytes);
  if (
    chunk.length !== shape.length ||
    sizes.at(-1) !== entryBytes ||
    chunkBytes === 0 ||
    chunkBytes > limits.chunkBytes
  )
    throw badHdf5(at, 'its chunks are not of its shape', `[${shape.join(', ')}]`, `[${chunk.join(', ')}]`);
  const grid = shape.map((size, axis) => Math.ceil(size / (chunk[axis] ?? 1)));
  const count = grid.reduce((product, size) => product * size, 1);
  if (count > limits.chunks) throw badHdf5(at, 'it has too many chunks', `${limits.chunks}`, `${count}`);
  const pieces = new Map<number, StoredChunks['pieces'][number]>();
  const keyBytes = 8 + 8 * sizes.length;

  const walk = (address: number | undefined, under: number): void => {
    const head = cursor(address, 24);
    head.signature('TREE');
    head.expect('the kind of a tree', head.u8(), 1);
    const level = head.u8();
    if (level >= under) throw badHdf5(at, 'a tree does not get shallower', `under ${under}`, `${level}`);
    const children = head.u16();
    const from = cursor((address ?? 0) + 24, children * (keyBytes + 8) + keyBytes);
    for (let i = 0; i < children; i++) {
      const [byteLength, mask] = [from.u32(), from.u32()];
      const start = chunk.map(() => from.size());
      from.skip(8);
      const byteOffset = from.address();
      if (level > 0) {
        walk(byteOffset, level);
        continue;
      }
      const place = start.map((first, axis) => first / (chunk[axis] ?? 1));
      const index = place.reduce((sum, step, axis) => sum * (grid[axis] ?? 1) + step, 0);
      if (!place.every((step, axis) => Number.isInteger(step) && step < (grid[axis] ?? 0)) || pieces.has(index))
        throw badHdf5(at, 'a chunk lies outside or is there twice', `[${grid.join(', ')}]`, `[${start.join(', ')}]`);
      if (mask !== 0) throw badHdf5(at, 'a chunk leaves a filter out', '0', `${mask}`);
      if (byteOffset === undefined || (!filters.includes('deflate') && byteLength !== chunkBytes))
        throw badHdf5(at, 'a chunk is not as long as it must be', `${chunkBytes} bytes`, `${byteLength} bytes`);
      pieces.set(index, { start, byteOffset, byteLength });
    }
  };
  if (count > 0) walk(tree, limits.depth);
  if (pieces.size !== count) throw badHdf5(at, 'chunks are missing', `${count}`, `${pieces.size}`);
  const packed = [...pieces.values()].reduce((sum, piece) => sum + piece.byteLength, 0);
  if (count * chunkBytes > limits.ratioFreeBytes && count * chunkBytes > limits.ratio * packed)
    throw badHdf5(
      at,
      'it unpacks to far more than it holds',
      `${packed * limits.ratio} bytes`,
      `${count * chunkBytes}`,
    );
  const ordered = [...pieces].sort(([a], [b]) => a - b).map(([, piece]) => piece);
  return { whole: shape, shape: chunk, entryBytes, filters, pieces: ordered };
}
