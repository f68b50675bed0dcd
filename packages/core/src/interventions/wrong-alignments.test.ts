import type { Alignment } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { randomAttentionOnly } from '../circuits/random-model.fixture.ts';
import { partScope } from './aligned-part.ts';
import { wrongAlignments } from './wrong-alignments.ts';

// Two layers of two heads on a stream of 12.
const { graph } = randomAttentionOnly(null).model;
const alignment: Alignment = {
  tokens: { site: 'hook_embed', units: [0, 4] },
  wide: { site: 'blocks.0.hook_attn_out', units: [2, 10] },
  pattern: { site: 'blocks.1.attn.hook_pattern', head: [1] },
  plane: {
    site: 'blocks.1.hook_attn_out',
    directions: [0, 1].map((at) => Array.from({ length: 12 }, (_, i) => (i === at ? 1 : 0))),
  },
};
const wrong = (name: string, each = 3, seed = 0) => wrongAlignments(graph, alignment, [name], { each, seed });
const kinds = (name: string) => wrong(name).map(({ kind }) => kind);

describe('wrong alignments', () => {
  test('move the named variable alone', () => {
    for (const name of Object.keys(alignment))
      for (const { alignment: moved, label } of wrong(name))
        for (const other of Object.keys(alignment))
          if (other === name) expect(moved[other], label).not.toEqual(alignment[other]);
          else expect(moved[other]).toEqual(alignment[other]);
  });

  test('are of the kinds that there is room for: the embedding has no other layer', () => {
    expect(kinds('tokens')).toEqual(['permuted', 'permuted', 'permuted', 'random', 'random', 'random']);
    expect(kinds('wide')).toEqual(['permuted', 'permuted', 'permuted', 'layer', 'random', 'random', 'random']);
  });

  test('another layer keeps the columns', () => {
    expect(wrong('wide').find(({ kind }) => kind === 'layer')?.alignment.wide).toEqual({
      site: 'blocks.1.hook_attn_out',
      units: [2, 10],
    });
  });

  test('random units are as many, none of its own while there are others, and say how many are', () => {
    for (const { kind, alignment: moved, label } of [...wrong('tokens', 20), ...wrong('wide', 20)]) {
      if (kind !== 'random') continue;
      for (const name of ['tokens', 'wide']) {
        const own = alignment[name];
        const now = moved[name];
        if (!own || !now || own === now) continue;
        const [before, after] = [partScope(own).unit ?? [], partScope(now).unit ?? []];
        expect(new Set(after).size).toBe(before.length);
        const kept = after.filter((unit) => before.includes(unit)).length;
        expect(kept).toBe(name === 'tokens' ? 0 : 4);
        expect(label.includes('4 of it right')).toBe(name === 'wide');
      }
    }
  });

  test('random heads are other heads, random directions are orthonormal', () => {
    const heads = wrong('pattern').filter(({ kind }) => kind === 'random');
    expect(heads.map((one) => one.alignment.pattern?.head)).toEqual([[0], [0], [0]]);
    for (const { kind, alignment: moved } of wrong('plane')) {
      if (kind !== 'random') continue;
      const [a = [], b = []] = moved.plane?.directions ?? [];
      const dot = (x: readonly number[], y: readonly number[]) =>
        x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0);
      for (const [product, wanted] of [
        [dot(a, a), 1],
        [dot(a, b), 0],
        [dot(b, b), 1],
      ] as const)
        expect(product).toBeCloseTo(wanted, 5);
    }
  });

  test('are equal for equal seeds', () => {
    expect(wrong('wide', 3, 1)).toEqual(wrong('wide', 3, 1));
    expect(wrong('wide', 3, 1)).not.toEqual(wrong('wide', 3, 2));
  });
});
