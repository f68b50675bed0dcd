import type { Pos } from '@circuitscope/schema';
import { badOption, valued, withDefault } from '../../options/index.ts';

/** `last`, `all`, or indices of which negative ones count from the end. */
export const positionsOption = withDefault(
  valued<Pos>('last|all|N,…', 'positions; negative ones count from the end', (given, name) => {
    if (given === 'last' || given === 'all') return { kind: given };
    const positions = given.split(',').map((entry) => (/^-?\d{1,9}$/.test(entry.trim()) ? Number(entry) : Number.NaN));
    if (positions.length > 0 && positions.every(Number.isInteger)) return { kind: 'positions', positions };
    throw badOption(name, 'last, all, or positions such as 0,4,-1', given);
  }),
  { kind: 'last' },
  'last',
);
