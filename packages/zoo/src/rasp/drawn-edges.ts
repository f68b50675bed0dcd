import type { Edge } from '@circuitscope/core';
import { edgeLabel, type ReaderRef, type UnitRef } from '@circuitscope/schema';
import { inferValues } from './infer-values.ts';
import { type Place, placeVariables } from './place-variables.ts';
import type { RaspProgram, RaspVariable } from './rasp-program.ts';

/** An edge as it was drawn, and everything that is read through it. */
export interface DrawnEdge extends Edge {
  readonly reads: readonly Read[];
}

export interface Read {
  /** A variable, or what the input holds at every prompt alike: BOS, or `one`. */
  readonly of: { readonly kind: 'variable'; readonly name: string } | { readonly kind: 'bos' | 'one' };
  /** The variable that is computed from it; `logits` at the end. */
  readonly by: RaspVariable | 'logits';
  readonly port: ReaderRef['port'];
}

/** Every edge that a program's units need, from the program alone. */
export function drawnEdges(program: RaspProgram): readonly DrawnEdge[] {
  const places = placeVariables(program);
  const values = inferValues(program);
  const edges = new Map<string, { readonly edge: Edge; readonly reads: Read[] }>();
  const draw = (to: ReaderRef, by: Read['by'], of: Read['of'], from: UnitRef = { kind: 'input' }): void => {
    const edge = { from, to };
    const entry = edges.get(edgeLabel(edge)) ?? { edge, reads: [] };
    entry.reads.push({ of, by, port: to.port });
    edges.set(edgeLabel(edge), entry);
  };
  const variable = (name: string, to: ReaderRef, by: Read['by']): void =>
    draw(to, by, { kind: 'variable', name }, writerOf(places.get(name)));

  for (const one of program.variables) {
    const place = places.get(one.name);
    if (!place) continue;
    const mlp: ReaderRef = { kind: 'mlp', layer: place.layer, port: 'in' };
    if (one.kind === 'aggregate' || one.kind === 'selector_width') {
      const { layer, head } = place.head ?? { layer: place.layer, head: 0 };
      const port = (name: 'q' | 'k' | 'v'): ReaderRef => ({ kind: 'head', layer, head, port: name });
      variable(one.selector.queries, port('q'), one);
      draw(port('q'), one, { kind: 'one' });
      variable(one.selector.keys, port('k'), one);
      draw(port('k'), one, { kind: 'bos' });
      if (one.kind === 'aggregate') {
        variable(one.of, port('v'), one);
        continue;
      }
      draw(port('v'), one, { kind: 'bos' });
      draw(mlp, one, { kind: 'variable', name: one.name }, { kind: 'head', layer, head });
      draw(mlp, one, { kind: 'one' });
      draw(mlp, one, { kind: 'bos' });
      continue;
    }
    const read = one.kind === 'map' ? [one.of] : [one.left, one.right];
    for (const name of read) variable(name, mlp, one);
    const steps = one.kind === 'map' && values.get(one.of)?.kind === 'number';
    if (one.kind === 'sequence_map' || steps) draw(mlp, one, { kind: 'one' });
    if (steps) draw(mlp, one, { kind: 'bos' });
  }
  variable(program.output, { kind: 'logits', port: 'in' }, 'logits');
  return [...edges.values()].map(({ edge, reads }) => ({ ...edge, reads }));
}

function writerOf(place: Place | undefined): UnitRef {
  if (!place) return { kind: 'input' };
  if (place.kind === 'mlp') return { kind: 'mlp', layer: place.layer };
  return { kind: 'head', layer: place.layer, head: place.head?.head ?? 0 };
}
