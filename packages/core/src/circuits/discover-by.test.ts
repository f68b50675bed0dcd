import { edgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import { acdc } from './acdc.ts';
import { connected, discoverCircuit } from './discover.ts';
import { type DiscoveryMethod, discoverBy } from './discover-by.ts';
import { eapScores } from './eap.ts';
import { exactPatchScores, importance } from './edge-scores.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';

const { engine } = randomAttentionOnly('LN');
const data = randomData();
const edges = edgesOf(decompose(engine.graph));
const about = { ablation: 'resample', metric: 'logit_diff' } as const;
const labels = (list: readonly Edge[]): string[] => list.map(edgeLabel);
const estimates: readonly DiscoveryMethod[] = [{ kind: 'eap' }, { kind: 'eap-ig', steps: 4 }, { kind: 'attribution' }];

describe('estimates', () => {
  test.each(estimates)('of $kind keep the best edges that recover the share, and cut those', async (method) => {
    const prune = { rule: 'backward', recover: 0.8 } as const;
    const found = await discoverBy(engine, data, edges, { ...about, method, prune });
    expect(found.prune).toEqual({ rule: 'best', recover: 0.8 });
    expect((found.alone - found.empty) / (found.whole - found.empty)).toBeGreaterThanOrEqual(0.8);
    expect(found.edges.length).toBeGreaterThan(0);
    expect(connected(found.edges)).toHaveLength(found.edges.length);
    expect(new Set(labels(found.effects.effects.map(({ edge }) => edge)))).toEqual(new Set(labels(found.edges)));
    const exact = await exactPatchScores(engine, data, found.edges, about);
    for (const [at, edge] of found.edges.entries()) {
      const effect = found.effects.effects.find((one) => edgeLabel(one.edge) === edgeLabel(edge))?.effect;
      expect(effect).toBe(exact.scores[at]);
    }
  });

  test('under a threshold keep the edges that are larger', async () => {
    const scores = await eapScores(engine, data, edges, about);
    const sizes = importance(scores);
    const threshold = [...sizes].sort((a, b) => a - b)[Math.floor(edges.length / 2)] ?? 0;
    const prune = { rule: 'threshold', threshold } as const;
    const found = await discoverBy(engine, data, edges, { ...about, method: { kind: 'eap' }, prune });
    const larger = connected(edges.filter((_, at) => (sizes[at] ?? 0) > threshold));
    expect(labels(found.edges)).toEqual(labels(larger));
    expect(found.ranking?.scores).toEqual(scores.scores);
    expect(found.prune).toEqual(prune);
  });

  test('know readers that query heads share', async () => {
    const llama = randomGroupedLlama();
    const all = edgesOf(decompose(llama.engine.graph));
    const prune = { rule: 'backward', recover: 0.5 } as const;
    const found = await discoverBy(llama.engine, randomData(), all, { ...about, method: { kind: 'eap' }, prune });
    expect((found.alone - found.empty) / (found.whole - found.empty)).toBeGreaterThanOrEqual(0.5);
  });
});

test('ACDC is ACDC, without what is on no path', async () => {
  const prune = { rule: 'threshold', threshold: 0.1 } as const;
  const found = await discoverBy(engine, data, edges, { ...about, method: { kind: 'acdc' }, prune });
  const alone = await acdc(engine, data, edges, { ...about, threshold: 0.1 });
  expect(labels(found.edges)).toEqual(labels(connected(alone.edges)));
  expect(found.prune).toEqual({ rule: 'acdc', threshold: 0.1 });
  const share = { rule: 'backward', recover: 0.9 } as const;
  await expect(
    discoverBy(engine, data, edges, { ...about, method: { kind: 'acdc' }, prune: share }),
  ).rejects.toMatchObject({
    code: 'bad_rule',
  });
});

test('exact is the search that cuts every edge', async () => {
  const prune = { rule: 'backward', recover: 0.9 } as const;
  const found = await discoverBy(engine, data, edges, { ...about, method: { kind: 'exact' }, prune });
  expect(found).toEqual(await discoverCircuit(engine, data, edges, { ...about, prune }));
});
