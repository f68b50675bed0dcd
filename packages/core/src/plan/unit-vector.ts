import { CircuitscopeError, type Site } from '@circuitscope/schema';

/** A direction at unit length, for a site whose vectors have `width` entries. */
export function unitVector(data: ArrayLike<number>, width: number, site: Site): Float64Array {
  if (data.length !== width) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `A direction of length ${data.length} does not fit ${site}, whose vectors have ${width}.`,
      {
        at: site,
        expected: String(width),
        got: String(data.length),
      },
    );
  }
  let square = 0;
  for (let i = 0; i < width; i++) square += (data[i] ?? 0) ** 2;
  if (!(square > 0))
    throw new CircuitscopeError('zero_direction', `The direction at ${site} has length zero.`, { at: site });
  const norm = Math.sqrt(square);
  return Float64Array.from({ length: width }, (_, i) => (data[i] ?? 0) / norm);
}
