import { CircuitscopeError, type Intervention, type Pos, type Scope } from '@circuitscope/schema';
import type { Dim, Graph } from '../graph/index.ts';
import { type BindContext, checkPrompt, type Prompt, resolvePositions } from './bind.ts';
import { positionAxes } from './position-axes.ts';

/**
 * The same changes with positions that stay when the text grows: the last one, and those counted from the end or named,
 * are those of the prompt. Indices are those of the padded prompt, in which new tokens come behind all of it.
 */
export function fixPositions(graph: Graph, interventions: readonly Intervention[], prompt: Prompt): Intervention[] {
  const sizes = checkPrompt(prompt);
  const context: BindContext = { prompt, ...sizes, variants: [0], runs: new Map(), artefacts: new Map() };
  const fixed = (at: Pos, axis: Dim): Pos => {
    const length = axis === 'source' ? (sizes.source ?? 0) : sizes.pos;
    const fromStart = (index: number): number => (index < 0 ? index + length : index);
    switch (at.kind) {
      case 'all':
      case 'generated':
        return at;
      case 'positions':
        return { kind: 'positions', positions: at.positions.map(fromStart) };
      case 'perExample':
        return { kind: 'perExample', positions: at.positions.map(fromStart) };
      case 'last':
      case 'named': {
        const examples = Array.from({ length: sizes.batch }, (_, example) => example);
        return {
          kind: 'perExample',
          positions: examples.flatMap((example) => resolvePositions(at, example, context, axis)),
        };
      }
    }
  };
  const scope = (of: Scope): Scope => {
    const { at, key } = of;
    if (!at && !key) return of;
    const axes = positionAxes(graph, of.site);
    return { ...of, ...(at ? { at: fixed(at, axes.at) } : {}), ...(key ? { key: fixed(key, axes.key) } : {}) };
  };
  return interventions.map((change) =>
    change.kind === 'write' || change.kind === 'direction' || change.kind === 'freeze'
      ? { ...change, at: scope(change.at) }
      : change,
  );
}

/** @throws CircuitscopeError `moving_position` if a change in a text that grows would move along with its end */
export function requireFixed(interventions: readonly Intervention[]): void {
  for (const change of interventions) {
    if (change.kind !== 'write' && change.kind !== 'direction' && change.kind !== 'freeze') continue;
    for (const pos of [change.at.at, change.at.key]) {
      const listed = pos?.kind === 'positions' || pos?.kind === 'perExample' ? pos.positions : [];
      if (pos?.kind !== 'last' && listed.every((index) => index >= 0)) continue;
      throw new CircuitscopeError(
        'moving_position',
        `The change of ${change.at.site} names a position by the end of the text, which moves when the text grows; fix the positions to the prompt first.`,
        { at: change.at.site, got: pos?.kind ?? '' },
      );
    }
  }
}
