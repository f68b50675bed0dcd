// What a parser asks memory for: typed arrays by their number of entries, while one function runs. Lists and texts grow with the
// bytes that are read into them; only typed arrays are made to a length that a file announces.

const names = ['Uint8Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array'] as const;

/** Bytes of typed arrays that `run` makes by length, freed ones included. Not for functions that wait. */
export function countedAllocations<T>(run: () => T): { readonly bytes: number; readonly value: T } {
  const before = names.map((name) => globalThis[name]);
  let bytes = 0;
  names.forEach((name) => {
    Object.assign(globalThis, {
      [name]: new Proxy(globalThis[name], {
        construct(target, given, newTarget) {
          const [length] = given;
          if (typeof length === 'number') bytes += length * target.BYTES_PER_ELEMENT;
          return Reflect.construct(target, given, newTarget);
        },
      }),
    });
  });
  try {
    return { value: run(), bytes };
  } finally {
    names.forEach((name, i) => {
      Object.assign(globalThis, { [name]: before[i] });
    });
  }
}
