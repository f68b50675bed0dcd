import type { ReaderRef, UnitRef } from '@circuitscope/schema';
import { findSite, type Graph, type GraphNode, listSites } from './graph.ts';
import { traceRead } from './split-read.ts';

// A decomposition is derived from the graph: the residual stream is a sum that keeps its terms, so what a reader reads
// is the list of units that wrote before it. A head's term is z[h]·W_O[h]; the output bias belongs to no unit.

export interface Decomposition {
  readonly units: readonly UnitRef[];
  readonly readers: readonly { readonly reader: ReaderRef; readonly writers: readonly UnitRef[] }[];
  /** False where a term of the stream is not one of the units: methods that need the whole sum must refuse. */
  readonly exactSum: boolean;
}

export interface Edge {
  readonly from: UnitRef;
  readonly to: ReaderRef;
}

/** Units and readers at the grain of heads and MLPs; k and v of grouped heads are listed per key/value head. */
export function decompose(graph: Graph): Decomposition {
  const access = {
    node: (id: number) => nodeOf(graph, id),
    find: (site: string) => graph.nodes.find((node) => node.sites.includes(site)),
  };
  const layers = countLayers(graph);
  const units: UnitRef[] = [{ kind: 'input' }];
  const readers: { reader: ReaderRef; writers: readonly UnitRef[] }[] = [];
  let exactSum = true;
  const read = (reader: ReaderRef): void => {
    const { stream, heads } = traceRead(access, graph, reader);
    const terms = writersOf(graph, stream);
    if (!terms) {
      exactSum = false;
      return;
    }
    if (reader.kind !== 'head') readers.push({ reader, writers: terms });
    else for (let head = 0; head < heads; head++) readers.push({ reader: { ...reader, head }, writers: terms });
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const port of ['q', 'k', 'v'] as const) read({ kind: 'head', layer, head: 0, port });
    const z = findSite(graph, `blocks.${layer}.attn.hook_z`);
    for (let head = 0; head < Number(z.shape[2]); head++) units.push({ kind: 'head', layer, head });
    if (access.find(`blocks.${layer}.mlp.hook_pre`)) {
      read({ kind: 'mlp', layer, port: 'in' });
      units.push({ kind: 'mlp', layer });
    }
  }
  read({ kind: 'logits', port: 'in' });
  units.push({ kind: 'logits' });
  return { units, readers, exactSum };
}

export function edgesOf(decomposition: Decomposition): Edge[] {
  return decomposition.readers.flatMap(({ reader, writers }) => writers.map((from) => ({ from, to: reader })));
}

export function countLayers(graph: Graph): number {
  return listSites(graph).filter(({ site }) => /^blocks\.\d+\.attn\.hook_z$/.test(site)).length;
}

/** The units whose outputs sum to a node of the stream, or undefined if a term is not a unit's. */
function writersOf(graph: Graph, stream: number): UnitRef[] | undefined {
  const units: UnitRef[] = [];
  for (const term of termsOf(graph, stream)) {
    const found = unitsOfTerm(graph, term);
    if (!found) return undefined;
    for (const unit of found)
      if (!(unit.kind === 'input' && units.some((other) => other.kind === 'input'))) units.push(unit);
  }
  return units;
}

/** Flattens nested sums, left to right. */
export function termsOf(graph: Graph, id: number): GraphNode[] {
  const node = nodeOf(graph, id);
  return node.op === 'sum' ? node.in.flatMap((input) => termsOf(graph, input)) : [node];
}

function unitsOfTerm(graph: Graph, term: GraphNode): UnitRef[] | undefined {
  for (const name of term.sites) {
    // What a spliced dictionary changes is zero until a plan changes it; what it reads is still what its unit wrote.
    if (/\.hook_sae_(?:error_)?change$/.test(name)) return [];
    const site = name.replace(/\.hook_sae_(?:input|target)$/, '');
    if (site === 'hook_embed' || site === 'hook_pos_embed') return [{ kind: 'input' }];
    const match = /^blocks\.(\d+)\.hook_(attn|mlp)_out$/.exec(site);
    // Heads write through the product that stands at hook_attn_out; behind a dictionary it stands there no longer.
    if (match?.[2] === 'attn' && site !== name) return undefined;
    if (!match) continue;
    const layer = Number(match[1]);
    if (match[2] === 'mlp') return [{ kind: 'mlp', layer }];
    const heads = Number(findSite(graph, `blocks.${layer}.attn.hook_z`).shape[2]);
    return Array.from({ length: heads }, (_, head) => ({ kind: 'head' as const, layer, head }));
  }
  return undefined;
}

function nodeOf(graph: Graph, id: number): GraphNode {
  const node = graph.nodes[id];
  if (!node) throw new Error(`node ${id} is not in the graph`);
  return node;
}
