import { flag, integer, text, withDefault } from './option.ts';

// Options that mean the same wherever they stand. A command takes those that it uses: one that did nothing would lie.

export const json = flag('print one JSON document instead of text');

export const seed = withDefault(integer('N', 'seed of everything random'), 0);

export const threads = integer('N', 'threads to compute with (default: one per core)', { min: 1, max: 1024 });

export const workspace = text('DIR', 'folder of results (default: $CIRCUITSCOPE_WORKSPACE, else .circuitscope)');

export const force = flag('overwrite a file that exists');
