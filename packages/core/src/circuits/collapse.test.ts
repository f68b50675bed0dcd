import {
  type Circuit,
  type CircuitEdge,
  type CircuitNode,
  Circuit as CircuitSchema,
  canonicalJson,
  type EdgeWeight,
  edgeLabel,
  mustParse,
  type Port,
  parseCircuit,
} from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { modelRef } from '../architectures/index.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import { circuitRecord, recordIds } from './circuit-record.ts';
import { collapse } from './collapse.ts';
import { discoverCircuit } from './discover.ts';
import { expand } from './expand.ts';
import { edgesBehind, macroEffects } from './macro-effects.ts';
import { cutEdges, meanValue, measure, sourceRuns } from './measure.ts';
import { type RandomModel, randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';

const provenance = {
  tool: 'test',
  toolVersion: '0',
  numericsVersion: '0',
  method: 'test',
  parameters: {},
  seeds: [1],
  data: [],
} as const;

const weight = (kind: EdgeWeight['kind'], value: number, more: Partial<EdgeWeight> = {}): EdgeWeight => ({
  kind,
  value,
  method: 'test',
  sign: kind === 'composition' ? 'unsigned_norm' : kind === 'virtual' ? 'signed_weight' : 'clean_minus_cut',
  ...(kind === 'patch_effect' ? { ablation: 'zero' as const } : {}),
  ...more,
});

const edge = (id: string, from: string, to: string, more: Partial<CircuitEdge> = {}): CircuitEdge => ({
  id,
  from,
  to,
  inCircuit: true,
  weights: [],
  ...more,
});

function circuitOf(nodes: readonly string[], edges: readonly CircuitEdge[], more: Partial<Circuit> = {}): Circuit {
  return mustParse(
    CircuitSchema,
    {
      kind: 'circuit',
      version: 1,
      id: 'whole',
      name: 'whole',
      model: {
        kind: 'model',
        name: 'm',
        architecture: 'a',
        contentHash: `sha256:${'0'.repeat(64)}`,
        view: 'raw',
        parameters: 1,
        dtype: 'f32',
      },
      decomposition: { grain: 'head', byPosition: false },
      nodes: nodes.map((id, head): CircuitNode => ({ id, unit: { kind: 'head', layer: 0, head } })),
      edges,
      evidence: [],
      provenance,
      ...more,
    },
    'test circuit',
  );
}

/** Nodes and edges at random, parallel ones and features between which weights lie included. */
function randomCircuit(rng: Rng): Circuit {
  const nodes = Array.from({ length: 4 + rng.below(8) }, (_, at) => `n${at}`);
  const ports: (Port | undefined)[] = ['q', 'k', 'v', undefined];
  const kinds = ['attribution', 'patch_effect', 'virtual', 'composition', 'direct_effect'] as const;
  const edges = Array.from({ length: 3 + rng.below(30) }, (_, at): CircuitEdge => {
    const port = ports[rng.below(4)];
    const weights = kinds
      .filter(() => rng.below(2) === 1)
      .map((kind) => weight(kind, rng.float(), rng.below(3) === 0 ? { between: { from: 'f0', to: 'f1' } } : {}));
    return {
      id: `e${at}`,
      from: nodes[rng.below(nodes.length)] ?? 'n0',
      to: nodes[rng.below(nodes.length)] ?? 'n0',
      inCircuit: rng.below(4) > 0,
      weights,
      ...(port ? { port } : {}),
    };
  });
  const features = ['f0', 'f1', 'f2'].map((id) => ({ kind: 'token' as const, id, token: 1 }));
  return circuitOf(nodes, edges, { features, ...(rng.below(3) === 0 ? { circuits: [] } : {}) });
}

describe('folding nodes into one', () => {
  const circuit = circuitOf(
    ['in', 'a', 'b', 'out'],
    [
      edge('1', 'in', 'a', { port: 'q' }),
      edge('2', 'a', 'out', { port: 'q' }),
      edge('3', 'in', 'b', { port: 'v' }),
      edge('4', 'a', 'b', { port: 'k' }),
      edge('5', 'b', 'out', { port: 'q' }),
      edge('6', 'b', 'out', { port: 'v' }),
      edge('7', 'in', 'out', { port: 'v' }),
      edge('8', 'a', 'out', { port: 'q', inCircuit: false }),
    ],
  );
  const folded = collapse(circuit, ['b', 'a'], 'pair');
  const macro = folded.nodes[2]?.id ?? '';

  test('leaves one node with a circuit inside, and the edges that do not touch it', () => {
    expect(parseCircuit(folded)).toMatchObject({ ok: true });
    expect(folded.nodes.map(({ id }) => id)).toEqual(['in', 'out', macro]);
    expect(folded.nodes[2]).toMatchObject({ label: 'pair', unit: { kind: 'circuit', circuit: macro } });
    expect(folded.circuits?.[0]).toMatchObject({ id: macro, name: 'pair' });
    expect(folded.circuits?.[0]?.nodes.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(folded.circuits?.[0]?.edges.map(({ id }) => id)).toEqual(['4']);
    expect(folded.edges[0]).toEqual(circuit.edges[6]);
    expect(folded.id).not.toBe(circuit.id);
  });

  test('joins parallel edges: into it whatever the port, out of it by port, left-out ones apart', () => {
    const told = folded.edges.slice(1).map(({ from, to, port, inCircuit, parts }) => ({
      ends: `${from === macro ? 'M' : from} ${to === macro ? 'M' : to} ${port ?? '-'} ${inCircuit}`,
      parts: parts?.map((part) => part.edge).join(),
    }));
    expect(told).toEqual([
      { ends: 'in M - true', parts: '1,3' },
      { ends: 'M out q true', parts: '2,5' },
      { ends: 'M out v true', parts: '6' },
      { ends: 'M out q false', parts: '8' },
    ]);
  });

  test('wants nodes that are there', () => {
    expect(() => collapse(circuit, ['gone'], 'x')).toThrow(expect.objectContaining({ code: 'unknown_node' }));
    expect(() => collapse(circuit, [], 'x')).toThrow(expect.objectContaining({ code: 'bad_fold' }));
  });

  test('refuses a nested circuit that would be needed on both sides', () => {
    const both = mustParse(
      CircuitSchema,
      {
        ...folded,
        nodes: [...folded.nodes, { id: 'again', unit: { kind: 'circuit', circuit: macro } }],
      },
      'a circuit with two nodes for one inside',
    );
    expect(() => collapse(both, ['again', 'in'], 'x')).toThrow(expect.objectContaining({ code: 'bad_fold' }));
  });
});

describe('weights of a macro edge', () => {
  const two = (first: readonly EdgeWeight[], second: readonly EdgeWeight[], to = 'b') =>
    collapse(
      circuitOf(
        ['in', 'a', 'b'],
        [edge('1', 'in', 'a', { weights: first }), edge('2', 'in', to, { weights: second })],
        {
          features: ['f', 'g'].map((id) => ({ kind: 'token' as const, id, token: 1 })),
        },
      ),
      ['a', 'b'],
      'pair',
    ).edges[0]?.weights;

  test('are sums where the kind is additive, and say so', () => {
    const one = [weight('attribution', 2, { se: 1, ablation: 'zero' }), weight('patch_effect', 5)];
    expect(two(one, [weight('attribution', -3, { ablation: 'zero' }), weight('patch_effect', 7)])).toEqual([
      weight('attribution', -1, { method: 'sum of 2 edges: test', ablation: 'zero' }),
    ]);
    const between = { from: 'f', to: 'g' };
    expect(two([weight('virtual', 2, { between })], [weight('virtual', 0.5, { between })])).toEqual([
      weight('virtual', 2.5, { method: 'sum of 2 edges: test', between }),
    ]);
  });

  test('are not added over methods, ablations or features, nor where a part has none', () => {
    expect(two([weight('attribution', 2)], [weight('attribution', 3, { method: 'other' })])).toEqual([]);
    expect(
      two([weight('attribution', 2, { ablation: 'zero' })], [weight('attribution', 3, { ablation: 'mean' })]),
    ).toEqual([]);
    expect(two([weight('virtual', 2)], [weight('virtual', 3)])).toEqual([]);
    expect(two([weight('attribution', 2)], [])).toEqual([]);
    expect(two([weight('composition', 0.2)], [weight('composition', 0.3)])).toEqual([]);
  });

  test('as direct effects are added where one reader reads both', () => {
    const direct = (value: number) => [weight('direct_effect', value)];
    expect(two(direct(2), direct(3))).toEqual([]);
    expect(two(direct(2), direct(3), 'a')).toEqual([weight('direct_effect', 5, { method: 'sum of 2 edges: test' })]);
  });

  test('are those of the edge where it stands for one alone', () => {
    const alone = collapse(
      circuitOf(
        ['in', 'a'],
        [edge('1', 'in', 'a', { weights: [weight('patch_effect', 5), weight('composition', 1)] })],
      ),
      ['a'],
      'one',
    );
    expect(alone.edges[0]?.weights).toEqual([weight('patch_effect', 5), weight('composition', 1)]);
  });
});

describe('taking apart', () => {
  test('gives back exactly the circuit that was folded, at any nesting, on random circuits', () => {
    for (let seed = 0; seed < 150; seed++) {
      const rng = new Rng(seed, 'test/fold');
      const states = [randomCircuit(rng)];
      for (let fold = 0; fold < 1 + rng.below(5); fold++) {
        const from = states[states.length - 1] as Circuit;
        const members = from.nodes.filter(() => rng.below(3) === 0).map(({ id }) => id);
        if (members.length > 0) states.push(collapse(from, rng.shuffle(members), `fold ${fold}`));
      }
      while (states.length > 1) {
        const folded = states.pop() as Circuit;
        const before = states[states.length - 1] as Circuit;
        expect(mustParse(CircuitSchema, JSON.parse(canonicalJson(folded)), 'folded')).toEqual(folded);
        const back = expand(folded);
        expect(back).toStrictEqual(before);
        expect(canonicalJson(back)).toBe(canonicalJson(before));
      }
    }
  });

  test('in another order than the last fold first is refused', () => {
    const circuit = circuitOf(['a', 'b', 'c', 'd'], [edge('1', 'a', 'c'), edge('2', 'b', 'd')]);
    const once = collapse(circuit, ['a', 'b'], 'first');
    const twice = collapse(once, ['c', 'd'], 'second');
    const first = once.nodes.find(({ label }) => label === 'first')?.id ?? '';
    expect(() => expand(twice, first)).toThrow('second was folded after first');
    expect(expand(expand(twice), first)).toStrictEqual(circuit);
  });

  test('of what was not folded is an error', () => {
    const circuit = circuitOf(['a', 'b'], [edge('1', 'a', 'b')]);
    expect(() => expand(circuit)).toThrow(expect.objectContaining({ code: 'not_folded' }));
    expect(() => expand(circuitOf([], []))).toThrow(expect.objectContaining({ code: 'not_folded' }));
  });

  test('of a record whose places do not fit is an error', () => {
    const folded = collapse(circuitOf(['a', 'b'], [edge('1', 'a', 'b')]), ['a'], 'x');
    for (const nodes of [[7], [0, 0], []]) {
      const broken: Circuit = {
        ...folded,
        circuits: (folded.circuits ?? []).map((child) => ({
          ...child,
          ...(child.folded ? { folded: { ...child.folded, nodes } } : {}),
        })),
      };
      expect(() => expand(broken)).toThrow(expect.objectContaining({ code: 'bad_fold' }));
    }
  });
});

async function recordOf({ engine, model }: RandomModel) {
  const data = randomData(5);
  const edges = edgesOf(decompose(model.graph));
  const prune = { rule: 'threshold', threshold: 0.02 } as const;
  const discovered = await discoverCircuit(engine, data, edges, { ablation: 'resample', metric: 'logit_diff', prune });
  const circuit = circuitRecord({
    model,
    modelRef: await modelRef(model),
    name: 'c',
    description: 'd',
    data,
    edges,
    discovered,
    effects: [discovered.effects],
    proof: null,
    weightEdit: null,
    provenance,
  });
  return { data, edges, circuit, labelOf: recordIds(edges, model.spec) };
}

describe('the effect of a macro edge', () => {
  test('is that of cutting all its parts together, not the sum of their effects', async () => {
    const model = randomAttentionOnly('LN');
    const { data, circuit, labelOf } = await recordOf(model);
    const options = { ablation: 'resample', metric: 'logit_diff', labelOf } as const;
    const inner = collapse(circuit, ['0.0', '0.1'], 'layer 0');
    const nested = collapse(inner, [inner.nodes[inner.nodes.length - 1]?.id ?? '', '1.0'], 'with 1.0');
    const runs = await sourceRuns(model.engine, data, 'resample');
    for (const folded of [inner, nested]) {
      const measured = await macroEffects(model.engine, data, folded, options);
      const macros = measured.edges.filter(({ parts }) => parts);
      expect(macros.length).toBeGreaterThan(1);
      let far = 0;
      for (const macro of macros) {
        const behind = edgesBehind(folded, macro, labelOf);
        const cut = await measure(model.engine, data, 'logit_diff', [[], cutEdges(behind, 'resample')], { runs });
        const joint = meanValue(cut, 0) - meanValue(cut, 1);
        const [effect] = macro.weights;
        expect(effect?.value).toBeCloseTo(joint, 12);
        expect(effect?.kind).toBe('patch_effect');
        const how = behind.length === 1 ? 'of the edge alone' : `of ${behind.length} edges, cut together`;
        expect(effect?.method).toBe(`resample ablation ${how}`);
        const evidence = macro.evidence?.[macro.evidence.length - 1];
        if (evidence?.kind !== 'intervention') throw new Error('no intervention');
        expect(evidence.interventions).toEqual(cutEdges(behind, 'resample'));
        expect(evidence.before - evidence.after).toBeCloseTo(joint, 12);
        const alone = behind.map((one) => circuit.edges.find(({ id }) => labelOf.get(id) === edgeLabel(one)));
        const sum = alone.reduce((total, one) => total + (one?.weights[0]?.value ?? Number.NaN), 0);
        if (Math.abs(sum - joint) > 0.01) far++;
      }
      expect(far).toBeGreaterThan(0);
      expect(expand(measured)).toStrictEqual(folded === inner ? circuit : inner);
    }
  });

  test('cuts an edge that query heads share once', async () => {
    const model = randomGroupedLlama();
    const { data, circuit, labelOf } = await recordOf(model);
    const folded = collapse(circuit, ['1.2', '1.3'], 'sharing');
    const macro = folded.edges.find(({ from, parts, inCircuit }) => from === '0.0' && parts && inCircuit);
    const behind = edgesBehind(folded, macro ?? edge('x', 'x', 'x'), labelOf).map(edgeLabel);
    expect(new Set(behind).size).toBe(behind.length);
    expect((macro?.parts ?? []).length).toBeGreaterThan(behind.length);
    const measured = await macroEffects(model.engine, data, folded, {
      ablation: 'zero',
      metric: 'logit_diff',
      labelOf,
    });
    expect(parseCircuit(measured)).toMatchObject({ ok: true });
  });

  test('of parts that the model does not have is an error', async () => {
    const { engine } = randomAttentionOnly(null);
    const folded = collapse(circuitOf(['a', 'b'], [edge('1', 'a', 'b')]), ['b'], 'x');
    const options = { ablation: 'zero', metric: 'logit_diff', labelOf: new Map() } as const;
    await expect(macroEffects(engine, randomData(), folded, options)).rejects.toMatchObject({ code: 'unknown_edge' });
  });
});
