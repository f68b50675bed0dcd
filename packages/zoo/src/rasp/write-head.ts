import { type Cell, diagonal, type HandHead } from '../hand-transformer.ts';
import { holds } from './apply-functions.ts';
import type { RaspVariable } from './rasp-program.ts';
import type { StreamBlocks } from './stream-blocks.ts';

/** Score of a selected key. */
const MATCH = 100;

export interface WrittenHead extends HandHead {
  /** Widest of its products. */
  readonly width: number;
}

/**
 * The head of an aggregate or a width. Each value of the query has a dimension, in which the keys that it selects score 100.
 * One more dimension is asked by every position and answered by BOS: with 50, so that attention goes there where nothing
 * is selected, and BOS has no values; or, for a width, with 100, and BOS is the only value: what comes out is
 * 1/(1 + width).
 */
export function writeHead(
  stream: StreamBlocks,
  variable: Extract<RaspVariable, { readonly selector: unknown }>,
): WrittenHead {
  const { keys, queries, predicate } = variable.selector;
  const asked = stream.columns(queries);
  const q: Cell[] = [[stream.one, asked.length, 1]];
  const k: Cell[] = [[stream.bos, asked.length, variable.kind === 'selector_width' ? MATCH : MATCH / 2]];
  asked.forEach(({ column, value: query }, dim) => {
    q.push([column, dim, 1]);
    for (const { column: from, value: key } of stream.columns(keys))
      if (holds(predicate, key, query)) k.push([from, dim, MATCH]);
  });
  if (variable.kind === 'selector_width')
    return { q, k, v: [[stream.bos, 0, 1]], o: [[0, stream.share(variable.name), 1]], width: asked.length + 1 };
  const source = stream.block(variable.of);
  const size = source.to - source.from;
  return {
    q,
    k,
    v: diagonal(source.from, 0, size),
    o: diagonal(0, stream.block(variable.name).from, size),
    width: Math.max(asked.length + 1, size),
  };
}
