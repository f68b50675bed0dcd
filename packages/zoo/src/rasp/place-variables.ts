import { parentsOf, type RaspProgram, type RaspVariable } from './rasp-program.ts';

/** Where a variable is written. A width is measured by a head and written by the MLP of that layer. */
export interface Place {
  readonly kind: 'head' | 'mlp';
  readonly layer: number;
  /** The head that attends for it. */
  readonly head?: HeadPlace;
}

export interface HeadPlace {
  readonly layer: number;
  readonly head: number;
}

/**
 * The earliest place at which everything that a variable reads is in the stream: attention of layer l is half 2l, its MLP
 * half 2l + 1. Heads of a layer are numbered in the order of the program. `tokens` and `indices` have no place.
 */
export function placeVariables(program: RaspProgram): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const heads: number[] = [];
  for (const variable of program.variables) {
    const ready = Math.max(-1, ...parentsOf(variable).map((name) => halfOf(places.get(name))));
    places.set(variable.name, placeAfter(variable, ready, heads));
  }
  return places;
}

function halfOf(place: Place | undefined): number {
  if (!place) return -1;
  return 2 * place.layer + (place.kind === 'mlp' ? 1 : 0);
}

function placeAfter(variable: RaspVariable, ready: number, heads: number[]): Place {
  if (variable.kind !== 'aggregate' && variable.kind !== 'selector_width')
    return { kind: 'mlp', layer: Math.floor((ready + 1) / 2) };
  const layer = Math.floor(ready / 2) + 1;
  const head = heads[layer] ?? 0;
  heads[layer] = head + 1;
  return { kind: variable.kind === 'aggregate' ? 'head' : 'mlp', layer, head: { layer, head } };
}
