import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Site } from '@circuitscope/schema';
import type { OperationName } from './operations.ts';

// A model is plain data: named operations over named weights. Sizes that a call decides (batch, positions) stay symbols.

/** A size: a number, or the name of a symbol that is bound at the call (`batch`, `rows` = variants × batch, `pos`). */
export type Dim = number | string;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export type Attributes = { readonly [key: string]: Json };

export interface GraphNode {
  /** Index in `Graph.nodes`; inputs always have smaller ids. */
  readonly id: number;
  readonly op: OperationName;
  /** Ids of the inputs; -1 stands for an input that is left out. */
  readonly in: readonly number[];
  /** Names in the weight store; null stands for a parameter that is left out. */
  readonly params: readonly (string | null)[];
  readonly attrs: Attributes;
  readonly shape: readonly Dim[];
  readonly dtype: 'f32' | 'i32';
  /** TransformerLens names of this value; `blocks.0.hook_resid_post` and `blocks.1.hook_resid_pre` are one value. */
  readonly sites: readonly Site[];
}

/** A weight as the graph sees it: a matrix `[K, N]` that is multiplied from the right, or a vector `[N]`. */
export interface GraphParam {
  readonly name: string;
  readonly shape: readonly number[];
  /** Set where one axis is `count` heads of equal width: K for W_O, N for W_Q, W_K, W_V and their biases. */
  readonly heads?: { readonly axis: 'in' | 'out'; readonly count: number };
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  /**
   * `tokens` and `positions` are i32 [batch, pos]; `mask` i32 [batch, pos] has 1 at real tokens; `key_positions` are those of
   * the keys, which ALiBi reads. Of an encoder-decoder they are the encoder's, [batch, source], and `decoder_tokens`,
   * `decoder_mask` are [batch, pos]. Others say their shape.
   */
  readonly inputs: { readonly [name: string]: number };
  readonly output: number;
  readonly params: readonly GraphParam[];
}

/** Content hash of a graph: equal graphs have equal hashes in every runtime. */
export function hashGraph(graph: Graph): Hash {
  return `sha256:${createHash('sha256').update(canonicalJson(graph)).digest('hex')}` as Hash;
}

/** Every site of a graph in the order in which they are computed. */
export function listSites(graph: Graph): { readonly site: Site; readonly shape: readonly Dim[] }[] {
  return graph.nodes.flatMap((node) => node.sites.map((site) => ({ site, shape: node.shape })));
}

/** The node that carries a site; an unknown site is an error that names the nearest known ones. */
export function findSite(graph: Graph, site: Site): GraphNode {
  const found = graph.nodes.find((node) => node.sites.includes(site));
  if (found) return found;
  throw unknownSite(graph, site);
}

export function unknownSite(graph: Graph, site: Site): CircuitscopeError {
  const known = listSites(graph).map((entry) => entry.site);
  const near = nearest(site, known).join(', ');
  return new CircuitscopeError('unknown_site', `This model has no site ${site}; the nearest are ${near}.`, {
    at: site,
    expected: near,
    got: site,
  });
}

function nearest(name: string, known: readonly string[]): string[] {
  const distance = (other: string) => editDistance(name, other);
  return [...known].sort((a, b) => distance(a) - distance(b) || (a < b ? -1 : 1)).slice(0, 3);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
