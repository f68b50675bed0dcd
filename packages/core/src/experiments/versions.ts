import type { ExecutorInfo } from '../plan/index.ts';

/** Version of the program that results name. */
export const TOOL_VERSION = '0.1.0';

/** Changes whenever a kernel's bits or a generator's numbers do. */
const NUMERICS_VERSION = '2';

/**
 * Whose bits a result has; part of every action key. The native kernels agree on every machine, the reference agrees with
 * them only within a bound: what one computed does not answer for the other.
 */
export function numericsVersion({ kind, path }: ExecutorInfo): string {
  return kind === 'native' ? NUMERICS_VERSION : `${NUMERICS_VERSION}-${kind}-${path}`;
}
