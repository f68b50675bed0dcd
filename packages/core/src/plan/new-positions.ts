import type { Dim } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { BindContext } from './bind.ts';

/**
 * What a call over new positions alone needs of an input that was made for the whole text: the last entries along the
 * axis `pos`; and where the entries are positions themselves, counted from the first new one.
 * @param shape with symbols; the axis `keys`, of a pattern, has all positions in any case
 */
export function newPositions<T extends Floats | Int32Array>(
  data: T,
  shape: readonly Dim[],
  positions: boolean,
  context: BindContext,
): T {
  const past = context.past?.length ?? 0;
  if (past === 0) return data;
  // An example of which nothing is new has a place all the same; what is read there means nothing.
  if (positions) return data.map((position) => Math.max(position - past, 0)) as T;
  const axis = shape.indexOf('pos');
  if (axis < 0) return data;
  const inner = shape.slice(axis + 1).reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : context.pos), 1);
  const [before, after] = [context.pos * inner, (context.pos - past) * inner];
  const rows = before === 0 ? 0 : data.length / before;
  const out = data.slice(0, rows * after) as T;
  for (let row = 0; row < rows; row++) {
    out.set(data.subarray(row * before + before - after, (row + 1) * before), row * after);
  }
  return out;
}
