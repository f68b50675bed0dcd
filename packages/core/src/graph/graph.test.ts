import { CircuitscopeError, edgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { smallModels } from '../plan/fixtures/small-models.ts';
import { decompose, edgesOf } from './decompose.ts';
import { findSite, hashGraph, listSites } from './graph.ts';
import { GraphRewrite } from './rewrite.ts';
import { productSites, readerOfSite, readerSite, splitRead, traceRead } from './split-read.ts';

describe('a graph', () => {
  test('has the same hash when it is built again, and another for other sizes', () => {
    expect(hashGraph(smallModels.gpt2().graph)).toBe(hashGraph(smallModels.gpt2(2).graph));
    const hashes = Object.values(smallModels).map((make) => hashGraph(make().graph));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test('is plain data: JSON and back changes nothing', () => {
    for (const make of Object.values(smallModels)) {
      const { graph } = make();
      expect(JSON.parse(JSON.stringify(graph))).toEqual(graph);
    }
  });

  test('lists inputs of every node before the node', () => {
    for (const make of Object.values(smallModels)) {
      for (const node of make().graph.nodes) for (const input of node.in) expect(input).toBeLessThan(node.id);
    }
  });

  test('gives one value two names where one layer ends and the next begins', () => {
    const { graph } = smallModels.gpt2();
    expect(findSite(graph, 'blocks.0.hook_resid_post')).toBe(findSite(graph, 'blocks.1.hook_resid_pre'));
    const sites = listSites(graph).map(({ site }) => site);
    expect(new Set(sites).size).toBe(sites.length);
  });

  test('names the nearest sites when one is unknown', () => {
    const { graph } = smallModels.gpt2();
    const error = caught(() => findSite(graph, 'blocks.0.attn.hook_patern'));
    expect(error).toMatchObject({ code: 'unknown_site', at: 'blocks.0.attn.hook_patern' });
    expect(error.expected?.split(', ')[0]).toBe('blocks.0.attn.hook_pattern');
  });
});

describe('a decomposition', () => {
  test('of an attention-only model: each reader sees the input and every head of earlier layers', () => {
    const { units, readers, exactSum } = decompose(smallModels.attentionOnly().graph);
    expect(units).toHaveLength(1 + 2 * 3 + 1);
    expect(exactSum).toBe(true);
    const writers = (label: string) =>
      readers
        .filter(({ reader }) => edgeLabel({ from: { kind: 'input' }, to: reader }) === label)
        .map((one) => one.writers.length);
    expect(writers('input→0.2.Q')).toEqual([1]);
    expect(writers('input→1.0.V')).toEqual([4]);
    expect(writers('input→logits')).toEqual([7]);
  });

  test('of a GPT-2: 3 heads, 2 layers, MLPs between them', () => {
    const edges = edgesOf(decompose(smallModels.gpt2().graph)).map(edgeLabel);
    // Layer 0: 9 ports and an MLP that sees 3 heads more; layer 1: 9 ports, an MLP; the logits see everything.
    expect(edges).toHaveLength(9 * 1 + 4 + 9 * 5 + 8 + 9);
    expect(edges).toContain('0.1→mlp0');
    expect(edges).toContain('mlp0→1.2.K');
    expect(edges).not.toContain('1.1→1.0.Q');
  });

  test('of a Llama with grouped heads: keys and values are read once per key/value head', () => {
    const { readers } = decompose(smallModels.llama().graph);
    const heads = (port: string) =>
      readers.filter(({ reader }) => reader.kind === 'head' && reader.layer === 1 && reader.port === port).length;
    expect([heads('q'), heads('k'), heads('v')]).toEqual([4, 2, 2]);
  });
});

describe('a read', () => {
  test('is named by its site and back', () => {
    for (const site of ['blocks.3.hook_q_input', 'blocks.0.hook_v_input', 'blocks.11.hook_mlp_in', 'final.hook_in']) {
      const reader = readerOfSite(site);
      expect(reader && readerSite(reader)).toBe(site);
    }
    expect(readerOfSite('blocks.0.hook_resid_pre')).toBeUndefined();
    expect(productSites({ kind: 'head', layer: 2, head: 1, port: 'k' })).toEqual(['blocks.2.attn.hook_k']);
  });

  test('is traced through its norm to the stream', () => {
    const { graph } = smallModels.gpt2();
    const rewrite = new GraphRewrite(graph);
    const read = traceRead(rewrite, graph, { kind: 'mlp', layer: 1, port: 'in' });
    expect(read.stream).toBe(findSite(graph, 'blocks.1.hook_resid_mid').id);
    expect(read.chain.map((id) => rewrite.node(id).sites[0])).toEqual([
      'blocks.1.ln2.hook_scale',
      'blocks.1.ln2.hook_normalized',
      'blocks.1.ln2.hook_out',
    ]);
  });

  test('is split once, however often it is asked for', () => {
    const rewrite = new GraphRewrite(smallModels.llama().graph);
    const first = splitRead(rewrite, { kind: 'head', layer: 1, head: 0, port: 'k' });
    expect(splitRead(rewrite, { kind: 'head', layer: 1, head: 1, port: 'k' })).toBe(first);
    expect(rewrite.node(first).shape).toEqual(['batch', 'pos', 2, 20]);
  });

  test('of a layer that does not exist is an unknown site', () => {
    const rewrite = new GraphRewrite(smallModels.gpt2().graph);
    const error = caught(() => splitRead(rewrite, { kind: 'mlp', layer: 7, port: 'in' }));
    expect(error).toMatchObject({ code: 'unknown_site', at: 'blocks.7.hook_mlp_in' });
  });
});

test('a rewrite that reads itself is an error', () => {
  const rewrite = new GraphRewrite(smallModels.gpt2().graph);
  const sum = rewrite.find('blocks.0.hook_resid_mid');
  if (!sum) throw new Error('the site is gone');
  const later = rewrite.add('sum', [sum.id]);
  rewrite.replaceNode(sum.id, { in: [later] });
  expect(caught(() => rewrite.order([later]))).toMatchObject({ code: 'bad_graph' });
});

function caught(action: () => unknown): CircuitscopeError {
  try {
    action();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
