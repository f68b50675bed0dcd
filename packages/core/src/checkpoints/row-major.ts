/** Calls `visit` with where each entry of a strided tensor stands, in entries from its first, in row-major order. */
export function rowMajor(
  shape: readonly number[],
  strides: readonly number[],
  visit: (from: number, to: number) => void,
): void {
  const count = shape.reduce((product, size) => product * size, 1);
  const place = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < count; to++) {
    visit(from, to);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis] = (place[axis] ?? 0) + 1;
      from += strides[axis] ?? 0;
      if ((place[axis] ?? 0) < (shape[axis] ?? 1)) break;
      from -= (place[axis] ?? 0) * (strides[axis] ?? 0);
      place[axis] = 0;
    }
  }
}
