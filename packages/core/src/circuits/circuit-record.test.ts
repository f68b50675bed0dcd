import { edgeLabel, type Provenance, parseCircuit } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { modelRef } from '../architectures/index.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { circuitRecord, recordIds } from './circuit-record.ts';
import { composition } from './composition.ts';
import { discoverCircuit } from './discover.ts';
import { effectiveWeights } from './effective-weights.ts';
import { proveCircuit } from './prove.ts';
import { type RandomModel, randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';

const provenance: Provenance = {
  tool: 'test',
  toolVersion: '0',
  numericsVersion: '0',
  method: 'test',
  parameters: {},
  seeds: [1],
  data: [],
};

async function record({ engine, model }: RandomModel) {
  const data = randomData(5);
  const edges = edgesOf(decompose(model.graph));
  const discovered = await discoverCircuit(engine, data, edges, {
    ablation: 'zero',
    metric: 'logit_diff',
    prune: { rule: 'threshold', threshold: 0.2 },
  });
  const proof = await proveCircuit(engine, data, edges, discovered.edges, {
    ablation: 'zero',
    metric: 'logit_diff',
    seed: 1,
    randomCircuits: 3,
    subsets: 2,
  });
  const circuit = circuitRecord({
    model,
    modelRef: await modelRef(model),
    name: 'c',
    description: 'd',
    data,
    edges,
    discovered,
    effects: [discovered.effects],
    proof,
    weightEdit: null,
    provenance,
  });
  return { circuit, edges, discovered };
}

describe('the record of a circuit', () => {
  test('is valid, holds every edge that was looked at, and marks those of the circuit', async () => {
    const { circuit, edges, discovered } = await record(randomAttentionOnly('LN'));
    expect(parseCircuit(circuit)).toMatchObject({ ok: true });
    expect(circuit.edges.map(({ id }) => id)).toEqual(edges.map(edgeLabel));
    expect(circuit.edges.filter(({ inCircuit }) => inCircuit).map(({ id }) => id)).toEqual(
      discovered.edges.map(edgeLabel),
    );
    expect(circuit.nodes.map(({ id }) => id).sort()).toEqual(['0.0', '0.1', '1.0', '1.1', 'input', 'logits']);
  });

  test('has the same bytes twice, and its id follows from them', async () => {
    const [one, other] = [await record(randomAttentionOnly('LN')), await record(randomAttentionOnly('LN'))];
    expect(JSON.stringify(one.circuit)).toBe(JSON.stringify(other.circuit));
    const { circuit } = await record(randomAttentionOnly(null));
    expect(circuit.id).not.toBe(one.circuit.id);
  });

  test('keeps the contrast of an effective weight as its value, with nothing left to be taken off', async () => {
    const { circuit } = await record(randomAttentionOnly('LN'));
    const weights = circuit.edges.flatMap((edge) => edge.weights);
    const effective = weights.filter(
      ({ kind }) => kind === 'effective_ov' || kind === 'effective_qk' || kind === 'virtual',
    );
    expect(effective.length).toBeGreaterThan(20);
    expect(effective.every(({ baseline }) => baseline === undefined)).toBe(true);
    expect(weights.filter(({ kind }) => kind === 'composition').every(({ baseline }) => (baseline ?? 0) > 0)).toBe(
      true,
    );
  });
});

describe('in a model whose query heads share keys and values', async () => {
  const random = randomGroupedLlama();
  const { circuit, edges, discovered } = await record(random);

  test('an edge into a shared key stands at each query head that reads through it, never at one alone', () => {
    expect(parseCircuit(circuit)).toMatchObject({ ok: true });
    const shared = circuit.edges.filter(({ id }) => id.endsWith('through 1.1.K'));
    expect(new Set(shared.map(({ to }) => to))).toEqual(new Set(['1.2', '1.3']));
    expect(shared.map(({ id }) => id)).toContain('0.1→1.3 through 1.1.K');
    expect(new Set(circuit.edges.map(({ id }) => id)).size).toBe(circuit.edges.length);
    const keysAndValues = edges.filter(({ to }) => to.port === 'k' || to.port === 'v');
    expect(circuit.edges.length).toBe(edges.length + keysAndValues.length);
    expect(shared.every(({ port }) => port === undefined)).toBe(true);
    expect(circuit.edges.find(({ id }) => id === '0.1→1.3.Q')?.port).toBe('q');
  });

  test('what is cut together is in the circuit together, with one exact effect', () => {
    const kept = new Set(discovered.edges.map(edgeLabel));
    for (const { to, from } of edges.filter(({ to }) => to.port === 'v')) {
      const label = edgeLabel({ from, to });
      const both = circuit.edges.filter(
        ({ id }) => id.split('→')[0] === label.split('→')[0] && id.endsWith(`through ${label.split('→')[1]}`),
      );
      expect(both).toHaveLength(2);
      expect(both.every(({ inCircuit }) => inCircuit === kept.has(label))).toBe(true);
      const effects = both.map(({ weights }) => weights.find(({ kind }) => kind === 'patch_effect')?.value);
      expect(effects[0]).toBe(effects[1]);
    }
  });

  test('every id of the record says by which edge it is cut', () => {
    const ids = recordIds(edges, random.model.spec);
    expect([...ids.keys()]).toEqual(circuit.edges.map(({ id }) => id));
    expect(new Set(ids.values())).toEqual(new Set(edges.map(edgeLabel)));
    expect(ids.get('0.1→1.3 through 1.1.K')).toBe('0.1→1.1.K');
    expect(ids.get('0.1→1.3.Q')).toBe('0.1→1.3.Q');
  });

  test('effective weights and composition are those of each query head', () => {
    for (const head of [2, 3]) {
      const edge = circuit.edges.find(({ id }) => id === `0.1→1.${head} through 1.1.V`);
      const [expected] = effectiveWeights(
        random.model,
        { from: { kind: 'head', layer: 0, head: 1 }, to: { kind: 'head', layer: 1, head: 1, port: 'v' } },
        [],
        head,
      );
      expect(edge?.weights.find(({ kind }) => kind === 'effective_ov')?.value).toBe(expected?.value);
      const { raw } = composition(random.model, { layer: 0, head: 1 }, { layer: 1, head }, 'v');
      expect(edge?.weights.find(({ kind }) => kind === 'composition')?.value).toBe(raw);
    }
  });

  test('edges of MLPs have their exact effect and no effective weight', () => {
    const edge = circuit.edges.find(({ id }) => id === 'mlp0→logits');
    expect(edge?.weights.map(({ kind }) => kind)).toEqual(['patch_effect']);
  });
});
