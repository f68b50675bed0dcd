import { CircuitscopeError } from '@circuitscope/schema';

/** What `make` gives; its errors name the file too, where the part that threw one does not know it. */
export function namingFile<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof CircuitscopeError) || `${error.message} ${error.at}`.includes(path)) throw error;
    const { code, message, at, expected, got, cause } = error;
    throw new CircuitscopeError(code, `${path}: ${message}`, {
      at: at === undefined ? path : `${path}: ${at}`,
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
      cause,
    });
  }
}
