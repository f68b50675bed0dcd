import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of real checkpoints and golden values that tests read: `$CIRCUITSCOPE_SHARED`, or `shared` beside the repository. */
export const shared =
  process.env.CIRCUITSCOPE_SHARED ?? fileURLToPath(new URL('../../../../../shared', import.meta.url));

/** Where there are none, tests that need them are skipped for that reason. */
export const hasShared = existsSync(`${shared}/golden/MANIFEST.tsv`);

/** Follows the name of a group that is skipped. */
export const withoutShared = hasShared ? '' : ' (skipped: no shared data; set CIRCUITSCOPE_SHARED to their folder)';
