import { type Circuit, Circuit as CircuitSchema, mustParse } from '@circuitscope/schema';
import { describe, expect, it } from 'vitest';
import fixture from '../../../e2e/fixtures/circuit.json' with { type: 'json' };
import { cutOf, labelOf, requestFor } from './cut-of.ts';
import { headsOf, startHead } from './heads-of.ts';

const circuit: Circuit = mustParse(CircuitSchema, fixture, 'circuit');
const edge = { kind: 'edge', id: 'e7' } as const;
const head = { kind: 'node', id: 'n1' } as const;

describe('a cut', () => {
  it('of an edge is what its reader sees of its writer', () => {
    expect(cutOf(circuit, edge)).toEqual({
      ok: true,
      label: '0.0→1.0.K',
      edge: { from: { kind: 'head', layer: 0, head: 0 }, to: { kind: 'head', layer: 1, head: 0, port: 'k' } },
    });
  });

  it('of a node is the unit', () => {
    expect(cutOf(circuit, head)).toEqual({ ok: true, label: '0.0', unit: { kind: 'head', layer: 0, head: 0 } });
  });

  it('says why it cannot be made', () => {
    expect(cutOf(circuit, { kind: 'node', id: 'n3' })).toMatchObject({
      ok: false,
      reason: expect.stringContaining('logits'),
    });
    expect(cutOf(circuit, { kind: 'edge', id: 'nowhere' })).toMatchObject({ ok: false });
    const byPosition: Circuit = { ...circuit, decomposition: { grain: 'head', byPosition: true } };
    expect(cutOf(byPosition, edge)).toMatchObject({ ok: false, reason: expect.stringContaining('positions') });
  });

  it('goes to the server together with the others', () => {
    const request = requestFor(circuit, [edge, head, { kind: 'node', id: 'n3' }], 'resample');
    expect([request.ablation, request.edges.length, request.units.length]).toEqual(['resample', 1, 1]);
  });

  it('has a label even if the circuit does not have it', () => {
    expect(labelOf(circuit, { kind: 'edge', id: 'nowhere' })).toBe('an edge that this circuit does not have');
  });
});

describe('the head whose attention is shown', () => {
  it('is the selected one, else the one that the selected edge leads into', () => {
    expect(startHead(circuit, head)).toMatchObject({ layer: 0, head: 0 });
    expect(startHead(circuit, edge)).toMatchObject({ layer: 1, head: 0 });
  });

  it('is the last one of the circuit while nothing is selected', () => {
    expect(startHead(circuit, null)).toMatchObject({ layer: 1, head: 0 });
    expect(startHead({ ...circuit, nodes: [], edges: [] }, null)).toBeNull();
  });

  it('is one of the heads of the circuit', () => {
    expect(headsOf(circuit).map(({ label }) => label)).toEqual(['previous token', 'induction']);
  });
});
