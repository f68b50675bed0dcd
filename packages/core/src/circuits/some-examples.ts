import type { Prompt } from '../plan/index.ts';

/** Some rows of a prompt, for work that is done a few examples at a time. */
export function someExamples({ tokens, mask, positions, named }: Prompt, from: number, to: number): Prompt {
  return {
    tokens: tokens.slice(from, to),
    ...(mask ? { mask: mask.slice(from, to) } : {}),
    ...(positions ? { positions: positions.slice(from, to) } : {}),
    ...(named
      ? { named: Object.fromEntries(Object.entries(named).map(([name, at]) => [name, at.slice(from, to)])) }
      : {}),
  };
}
