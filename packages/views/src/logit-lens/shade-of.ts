import type { LensCell } from '@circuitscope/schema';

/** What the shade of a cell stands for. */
export type LensShade = 'top' | 'next' | 'kl';

export const lensShades: readonly { readonly value: LensShade; readonly label: string }[] = [
  { value: 'top', label: 'probability of the likeliest' },
  { value: 'next', label: 'rank of the next token' },
  { value: 'kl', label: 'KL to the final' },
];

/** Between 0 and 1. Ranks fade with their logarithm: a shade for 0, next to none behind a thousand. */
export function shadeOf({ top, next, klToFinal }: LensCell, shade: LensShade, largestKl: number): number {
  switch (shade) {
    case 'top':
      return Math.exp(top[0]?.logProb ?? Number.NEGATIVE_INFINITY);
    case 'next':
      return next ? Math.max(0, 1 - Math.log10(next.rank + 1) / 3) : 0;
    case 'kl':
      return largestKl > 0 ? klToFinal / largestKl : 0;
  }
}
