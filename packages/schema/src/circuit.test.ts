import { expect, test } from 'vitest';
import flatFixture from '../fixtures/induction.json' with { type: 'json' };
import fixture from '../fixtures/nested.json' with { type: 'json' };
import { canonicalJson } from './canonical-json.ts';
import { Circuit, parseCircuit } from './circuit.ts';
import { mustParse } from './parse.ts';

const issuesOf = (value: unknown) => {
  const parsed = parseCircuit(value);
  return parsed.ok ? [] : parsed.issues;
};

test('a circuit with a circuit inside is read back from its text', () => {
  const circuit = mustParse(Circuit, fixture, 'circuit');
  expect(circuit.circuits?.[0]?.edges).toHaveLength(12);
  expect(mustParse(Circuit, JSON.parse(canonicalJson(circuit)), 'circuit')).toEqual(circuit);
  expect(JSON.parse(canonicalJson(circuit))).toEqual(fixture);
});

test('the induction circuit has seven edges in it and five beside it', () => {
  const circuit = mustParse(Circuit, flatFixture, 'circuit');
  expect(circuit.edges.filter((edge) => edge.inCircuit)).toHaveLength(7);
  expect(circuit.edges.filter((edge) => !edge.inCircuit)).toHaveLength(5);
});

test('every circuit in the tree is frozen', () => {
  const circuit = mustParse(Circuit, fixture, 'circuit');
  expect(Object.isFrozen(circuit)).toBe(true);
  expect(Object.isFrozen(circuit.circuits?.[0])).toBe(true);
});

type Fixture = typeof fixture;
const broken: [string, (circuit: Fixture) => void, string, string][] = [
  [
    'an end that is no node',
    (c) => {
      c.edges[0]!.to = 'gone';
    },
    'edges[0].to',
    'no node has the id "gone"',
  ],
  [
    'two nodes of one id',
    (c) => {
      c.nodes[2]!.id = 'in';
    },
    'nodes[2].id',
    'another node has the id "in"',
  ],
  [
    'two edges of one id',
    (c) => {
      c.edges[1]!.id = 'in';
    },
    'edges[1].id',
    'another edge has the id "in"',
  ],
  [
    'two features of one id',
    (c) => {
      c.features[1]!.id = 'token';
    },
    'features[1].id',
    'another feature has the id "token"',
  ],
  [
    'a node for a circuit that is not inside',
    (c) => {
      c.nodes[1]!.unit.circuit = 'gone';
    },
    'nodes[1].unit.circuit',
    'no nested circuit has the id "gone"',
  ],
  [
    'a circuit with the id of the one around it',
    (c) => {
      c.circuits[0]!.id = 'outer';
    },
    'circuits[0].id',
    'another circuit has the id "outer"',
  ],
  [
    'a part of a circuit that is not inside',
    (c) => {
      c.edges[0]!.parts[1]!.circuit = 'outer';
    },
    'edges[0].parts[1].circuit',
    'no nested circuit has the id "outer"',
  ],
  [
    'a part that is no edge',
    (c) => {
      c.edges[0]!.parts[1]!.edge = 'gone';
    },
    'edges[0].parts[1].edge',
    'circuit "inner" has no edge "gone"',
  ],
  [
    'a weight between features that are not there',
    (c) => {
      c.edges[1]!.weights[1]!.between!.from = 'gone';
    },
    'edges[1].weights[1].between.from',
    'no feature has the id "gone"',
  ],
  [
    'a dangling end inside a nested circuit',
    (c) => {
      c.circuits[0]!.edges[3]!.from = 'gone';
    },
    'circuits[0].edges[3].from',
    'no node has the id "gone"',
  ],
];

test.each(broken)('%s is an issue at its place', (_, damage, path, message) => {
  const circuit = structuredClone(fixture);
  damage(circuit);
  expect(issuesOf(circuit)).toContainEqual({ path, message });
});

test('a part may lie two circuits deep', () => {
  const middle = structuredClone(fixture);
  const outer = {
    ...structuredClone(fixture),
    id: 'outermost',
    circuits: [middle],
    features: [],
    edges: [],
    nodes: [],
  };
  expect(issuesOf(outer)).toEqual([]);
  const ends = [
    { id: 'a', unit: { kind: 'input' } },
    { id: 'b', unit: { kind: 'circuit', circuit: 'outer' } },
  ];
  const macro = {
    id: 'm',
    from: 'a',
    to: 'b',
    inCircuit: true,
    weights: [],
    parts: [{ circuit: 'inner', edge: 'e0' }],
  };
  expect(issuesOf({ ...outer, nodes: ends, edges: [macro] })).toEqual([]);
});

test('circuits nest sixteen deep, and past the depth of a record it is an issue', () => {
  const nest = (depth: number): unknown => {
    let circuit: Record<string, unknown> = { ...flatFixture, id: 'c' };
    for (let i = 0; i < depth; i++) circuit = { ...flatFixture, id: `c${i + 1}`, circuits: [circuit] };
    return circuit;
  };
  expect(issuesOf(nest(16))).toEqual([]);
  expect(issuesOf(nest(40))[0]?.message).toMatch(/nested deeper/);
});

test('labels may hold markup: it is kept as text and never changed', () => {
  const label = '<img src=x onerror=alert(1)>';
  const circuit = structuredClone(flatFixture);
  circuit.nodes[1]!.label = label;
  expect(mustParse(Circuit, circuit, 'circuit').nodes[1]?.label).toBe(label);
});
