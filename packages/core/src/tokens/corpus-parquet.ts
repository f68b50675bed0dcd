import { CircuitscopeError } from '@circuitscope/schema';
import { fileLength, readBytes } from '../checkpoints/read-bytes.ts';
import { textOrIds } from './corpus-text.ts';

/** What one column of a row group may unpack to. */
const MAX_GROUP = 1 << 30;
const ROWS = 1024;

export interface ParquetDocument {
  readonly index: number;
  readonly share: number;
  readonly value: string | readonly number[];
}

/** Rows of one column, some at a time. Pages are Snappy or plain. @throws CircuitscopeError `bad_corpus`, `too_large` */
export async function* parquetDocuments(path: string, field: string, from: number): AsyncGenerator<ParquetDocument> {
  const { parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
  const byteLength = fileLength(path);
  const file = {
    byteLength,
    slice: (start: number, end = byteLength): ArrayBuffer => {
      const bytes = readBytes(path, start, Math.max(0, end - start));
      return new Uint8Array(bytes).buffer;
    },
  };
  const bad = (cause: unknown): CircuitscopeError =>
    cause instanceof CircuitscopeError
      ? cause
      : new CircuitscopeError('bad_corpus', `${path} cannot be read as Parquet: ${String(cause).slice(0, 200)}.`, {
          at: path,
          cause,
        });
  const metadata = await parquetMetadataAsync(file).catch((cause: unknown) => {
    throw bad(cause);
  });
  const columns = metadata.schema.slice(1).map(({ name }) => name);
  if (!columns.includes(field)) {
    throw new CircuitscopeError(
      'bad_corpus',
      `${path} has no column ${field}; it has ${columns.slice(0, 20).join(', ')}.`,
      {
        at: path,
        expected: columns.slice(0, 20).join(', '),
        got: field,
      },
    );
  }
  for (const group of metadata.row_groups) {
    const own = group.columns.filter(({ meta_data: meta }) => meta?.path_in_schema[0] === field);
    const size = own.reduce((sum, { meta_data: meta }) => sum + Number(meta?.total_uncompressed_size ?? 0), 0);
    if (size <= MAX_GROUP) continue;
    throw new CircuitscopeError('too_large', `A row group of ${path} unpacks to ${size} bytes; write smaller ones.`, {
      at: path,
      expected: `at most ${MAX_GROUP}`,
      got: String(size),
    });
  }
  const total = Number(metadata.num_rows);
  for (let start = from; start < total; start += ROWS) {
    const rows = await parquetReadObjects({
      file,
      metadata,
      columns: [field],
      rowStart: start,
      rowEnd: Math.min(start + ROWS, total),
    }).catch((cause: unknown) => {
      throw bad(cause);
    });
    for (const [at, row] of rows.entries()) {
      const index = start + at;
      yield { index, share: (index + 1) / total, value: textOrIds(row[field], `${path}: row ${index}`, field) };
    }
  }
}
