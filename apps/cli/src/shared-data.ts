import { existsSync } from 'node:fs';
import { join } from 'node:path';

// For tests alone: recorded models and values, which lie beside the repository.

/** The folder with recorded data, or null where a checkout stands alone; tests then skip and say so. */
export const sharedFolder: string | null =
  [process.env.CIRCUITSCOPE_SHARED, join(import.meta.dirname, '../../../../shared')].find(
    (path): path is string => !!path && existsSync(join(path, 'golden')),
  ) ?? null;

export const withoutShared =
  'no recorded data: put them beside the repository as ../shared or name their folder in CIRCUITSCOPE_SHARED';

export const sharedPath = (...parts: string[]) => join(sharedFolder ?? '', ...parts);
