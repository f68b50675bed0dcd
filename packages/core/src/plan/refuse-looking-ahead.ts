import { CircuitscopeError, type Pos, type Scope, type Site } from '@circuitscope/schema';
import { type BindContext, resolvePositions } from './bind.ts';
import type { SymbolicLayout } from './site-layout.ts';

// In a text that grows, what a position computes must stay when later tokens come. Every change keeps to that, but one:
// a pattern or score above the diagonal, by which a query would read keys that come after it, those still to come included.

/**
 * @param value what is set, added or multiplied with, at an entry of [head, query, key]
 * @param later the same at keys that are not there yet
 * @throws CircuitscopeError `looks_ahead` if a query would read a later key
 */
export function refuseLookingAhead(
  { site, names, dims }: SymbolicLayout,
  scope: Scope,
  op: 'set' | 'add' | 'scale',
  example: number,
  context: BindContext,
  value: (entry: number) => number,
  later: number,
): void {
  const length = context.pos;
  const everywhere = Array.from({ length }, (_, index) => index);
  const heads = scope.head ?? Array.from({ length: Number(dims[0]) }, (_, head) => head);
  const queries = scope.at ? resolvePositions(scope.at, example, context) : everywhere;
  const keys = scope.key ? resolvePositions(scope.key, example, context) : everywhere;
  const stays = names.some((name) => name.endsWith('.hook_pattern')) ? staysZero[op] : staysHidden[op];
  const namesLater = lastKey(scope.key, example, context) >= length;
  for (const query of queries) {
    if (query < (context.past?.length ?? 0)) continue;
    if (namesLater && !stays(later)) throw looksAhead(site, query, length);
    for (const key of keys) {
      if (key <= query) continue;
      for (const head of heads) {
        if (!stays(value((head * length + query) * length + key))) throw looksAhead(site, query, key);
      }
    }
  }
}

/** The last key that a scope will ever name. */
function lastKey(key: Pos | undefined, example: number, { prompt }: BindContext): number {
  switch (key?.kind) {
    case 'positions':
      return Math.max(...key.positions, -1);
    case 'perExample':
      return key.positions[example] ?? -1;
    case 'named':
      return prompt.named?.[key.name]?.[example] ?? -1;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

/** A pattern's zero above the diagonal stays zero. */
const staysZero = {
  set: (value: number): boolean => value === 0,
  add: (value: number): boolean => value === 0,
  scale: (value: number): boolean => Number.isFinite(value),
};

/** A score's −∞ above the diagonal stays −∞. */
const staysHidden = {
  set: (value: number): boolean => value === Number.NEGATIVE_INFINITY,
  add: (value: number): boolean => value < Number.POSITIVE_INFINITY,
  scale: (value: number): boolean => value > 0,
};

function looksAhead(site: Site, query: number, key: number): CircuitscopeError {
  return new CircuitscopeError(
    'looks_ahead',
    `The change of ${site} would let position ${query} read position ${key}, which comes after it; in a text that grows every new token would change the past. Name keys that come before.`,
    { at: site, expected: `keys up to ${query}`, got: String(key) },
  );
}

export function directionOverKeys(site: Site): CircuitscopeError {
  return new CircuitscopeError(
    'looks_ahead',
    `A direction at ${site} is a vector over all keys, and a text that grows gets new ones; change hook_z or hook_q instead.`,
    { at: site },
  );
}
