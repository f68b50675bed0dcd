import { CircuitscopeError } from '@circuitscope/schema';
import type { StoredTensor } from '../checkpoints/index.ts';
import { readBytes } from '../checkpoints/read-bytes.ts';

/** Ids in a file, a document at a time. */
export interface StoredTokens {
  readonly count: number;
  readonly read: (document: number) => readonly number[];
}

type Reader = (view: DataView, at: number) => number;

const readers: { readonly [dtype: string]: Reader } = {
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i16: (view, at) => view.getInt16(at, true),
  i32: (view, at) => view.getInt32(at, true),
  i64: (view, at) => Number(view.getBigInt64(at, true)),
  u64: (view, at) => Number(view.getBigUint64(at, true)),
};

/** A list of ids is cut into documents of `length`; of a table each row is one. @throws CircuitscopeError `bad_corpus` */
export function storedTokens(stored: StoredTensor, length: number): StoredTokens {
  const { dtype, shape, file, byteOffset } = stored;
  const read = readers[dtype];
  if (!read || shape.length < 1 || shape.length > 2 || stored.strides || stored.deflated || stored.chunks) {
    throw new CircuitscopeError(
      'bad_corpus',
      `${file} holds [${shape.join(', ')}] of ${dtype}; ids are whole numbers, one list [n] or rows [documents, n].`,
      { at: file, expected: '[n] or [documents, n] of whole numbers', got: `[${shape.join(', ')}] of ${dtype}` },
    );
  }
  const [documents, columns] = shape.length === 2 ? [shape[0] ?? 0, shape[1] ?? 0] : [1, shape[0] ?? 0];
  const total = documents * columns;
  const each = shape.length === 2 ? columns : length;
  const width = stored.byteLength / Math.max(total, 1);
  return {
    count: each === 0 ? 0 : Math.ceil(total / each),
    read: (document) => {
      const count = Math.min(each, total - document * each);
      const bytes = readBytes(file, byteOffset + document * each * width, count * width);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return Array.from({ length: count }, (_, at) => read(view, at * width));
    },
  };
}
