import { edgeLabel, parseEdgeLabel, type UnitRef } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { Model } from '../architectures/index.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { effectiveWeights } from './effective-weights.ts';
import { randomAttentionOnly, randomGroupedLlama } from './random-model.fixture.ts';

type Vector = readonly number[];
type Port = 'q' | 'k' | 'v';

/** The same paths, vector by vector and with every bias: what `effectiveWeights` says without them. */
function bruteForce(model: Model) {
  const { width, headWidth, heads, kvHeads, vocab, norm } = model.spec;
  const weight = (name: string): ArrayLike<number> | null => model.weights.get(name)?.read() ?? null;
  const vocabulary = Array.from({ length: vocab }, (_, id) => id);
  const table = weight('embed.W_E') ?? [];
  const embed = (token: number): Vector => Array.from({ length: width }, (_, i) => table[token * width + i] ?? 0);
  const normed = (x: Vector, at: string): Vector => {
    if (!norm) return x;
    const mean = norm.kind === 'layer' ? x.reduce((a, b) => a + b, 0) / width : 0;
    const gain = weight(`${at}.w`) ?? [];
    const shift = weight(`${at}.b`);
    return x.map((value, i) => (value - mean) * (gain[i] ?? 1) + (shift?.[i] ?? 0));
  };
  const times = (x: Vector, matrix: ArrayLike<number>, columns: number, from: number, count: number): number[] =>
    Array.from({ length: count }, (_, j) =>
      x.reduce((sum, value, i) => sum + value * (matrix[i * columns + from + j] ?? 0), 0),
    );
  const read = (x: Vector, layer: number, head: number, port: Port): Vector => {
    const own = port === 'q' ? head : Math.floor(head / (heads / kvHeads));
    const name = `blocks.${layer}.attn`;
    const bias = weight(`${name}.b_${port.toUpperCase()}`);
    const columns = (port === 'q' ? heads : kvHeads) * headWidth;
    const out = times(
      normed(x, `blocks.${layer}.ln1`),
      weight(`${name}.W_${port.toUpperCase()}`) ?? [],
      columns,
      own * headWidth,
      headWidth,
    );
    return out.map((value, j) => value + (bias?.[own * headWidth + j] ?? 0));
  };
  const carry = (x: Vector, layer: number, head: number): Vector => {
    const z = read(x, layer, head, 'v');
    const matrix = weight(`blocks.${layer}.attn.W_O`) ?? [];
    return Array.from({ length: width }, (_, i) =>
      z.reduce((sum, value, j) => sum + value * (matrix[(head * headWidth + j) * width + i] ?? 0), 0),
    );
  };
  const logits = (x: Vector): number[] => times(normed(x, 'ln_final'), weight('unembed.W_U') ?? [], vocab, 0, vocab);
  const written = (unit: UnitRef): Vector[] =>
    vocabulary.map((token) => (unit.kind === 'head' ? carry(embed(token), unit.layer, unit.head) : embed(token)));
  const contrast = (value: (a: number, b: number) => number): number => {
    const pairs = vocabulary.flatMap((a) => vocabulary.map((b) => ({ same: a === b, score: value(a, b) })));
    const mean = (same: boolean): number => {
      const list = pairs.filter((pair) => pair.same === same);
      return list.reduce((sum, { score }) => sum + score, 0) / list.length;
    };
    return mean(true) - mean(false);
  };
  const dot = (a: Vector, b: Vector): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
  return {
    toLogits: (from: UnitRef) => {
      const rows = written(from).map(logits);
      return contrast((a, b) => rows[a]?.[b] ?? 0);
    },
    throughHead: (from: UnitRef, layer: number, head: number) => {
      const rows = written(from).map((x) => logits(carry(x, layer, head)));
      return contrast((a, b) => rows[a]?.[b] ?? 0);
    },
    score: (query: UnitRef, key: UnitRef, layer: number, head: number) => {
      const q = written(query).map((x) => read(x, layer, head, 'q'));
      const k = written(key).map((x) => read(x, layer, head, 'k'));
      return contrast((a, b) => dot(q[a] ?? [], k[b] ?? [])) * model.spec.scoreScale(layer);
    },
  };
}

const input: UnitRef = { kind: 'input' };

describe('effective weights', () => {
  for (const [name, { model }] of [
    ['without norms', randomAttentionOnly(null)],
    ['behind layer norms', randomAttentionOnly('LN')],
    ['behind RMS norms', randomAttentionOnly('RMS')],
  ] as const) {
    test(`are those of brute force over all pairs of tokens, biases and all, ${name}`, () => {
      const truth = bruteForce(model);
      for (const edge of edgesOf(decompose(model.graph))) {
        const { from, to } = edge;
        const label = edgeLabel(edge);
        if (to.kind === 'logits')
          expect(effectiveWeights(model, edge)[0]?.value, label).toBeCloseTo(truth.toLogits(from), 9);
        if (to.kind !== 'head') continue;
        for (const partner of [input, ...(to.layer === 1 ? [{ kind: 'head', layer: 0, head: 1 } as const] : [])]) {
          const expected =
            to.port === 'v'
              ? truth.throughHead(from, to.layer, to.head)
              : to.port === 'q'
                ? truth.score(from, partner, to.layer, to.head)
                : truth.score(partner, from, to.layer, to.head);
          expect(effectiveWeights(model, edge, [partner])[0]?.value, label).toBeCloseTo(expected, 9);
        }
      }
    });
  }

  test('with shared keys and values are those of the query head that is named', () => {
    const { model } = randomGroupedLlama();
    const truth = bruteForce(model);
    const from = { kind: 'head', layer: 0, head: 3 } as const;
    const values = [2, 3].map((head) => {
      const [weight] = effectiveWeights(
        model,
        { from, to: { kind: 'head', layer: 1, head: 1, port: 'k' } },
        [input],
        head,
      );
      expect(weight?.value).toBeCloseTo(truth.score(input, from, 1, head), 9);
      return weight?.value;
    });
    expect(values[0]).not.toBeCloseTo(values[1] ?? 0, 3);
    const [carried] = effectiveWeights(model, { from, to: { kind: 'head', layer: 1, head: 1, port: 'v' } }, [], 2);
    expect(carried?.value).toBeCloseTo(truth.throughHead(from, 1, 2), 9);
  });

  test('a key that several query heads share has none until one of them is named', () => {
    const { model } = randomGroupedLlama();
    for (const label of ['0.0→1.1.K', '0.0→1.1.V']) {
      expect(() => effectiveWeights(model, parseEdgeLabel(label))).toThrow(
        expect.objectContaining({ code: 'shared_head', expected: '1.2, 1.3' }),
      );
    }
    expect(effectiveWeights(model, parseEdgeLabel('0.0→1.3.Q'))).toHaveLength(1);
  });

  test('no product of weights leads through an MLP: its edges have none', () => {
    const { model } = randomGroupedLlama();
    for (const label of ['mlp0→logits', 'mlp0→1.0.Q', '0.0→mlp1', 'input→mlp0']) {
      expect(effectiveWeights(model, parseEdgeLabel(label))).toEqual([]);
    }
  });

  test('a path between positions is named from its writer to its reader', () => {
    const { model } = randomAttentionOnly(null);
    expect(effectiveWeights(model, parseEdgeLabel('input→0.0.Q'))[1]).toMatchObject({
      from: 'position p',
      to: 'position p − 1',
    });
    const [, weight] = effectiveWeights(model, parseEdgeLabel('input→0.0.K'));
    expect(weight).toMatchObject({ from: 'position p − 1', to: 'position p' });
    expect(weight?.value).toBeCloseTo(effectiveWeights(model, parseEdgeLabel('input→0.0.Q'))[1]?.value ?? 0, 12);
  });
});
