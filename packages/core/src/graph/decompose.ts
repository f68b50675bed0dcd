import { CircuitscopeError, type ReaderRef, type Site, type UnitRef } from '@circuitscope/schema';
import { findSite, type Graph, type GraphNode, listSites } from './graph.ts';
import { traceRead } from './split-read.ts';
import { attentionSite, headProductSites, inputSites, mlpProductNames, placeOf } from './stack-sites.ts';

// A decomposition is derived from the graph: the residual stream is a sum that keeps its terms, so what a reader reads
// is the list of units that wrote before it. A head's term is z[h]·W_O[h]; the output bias belongs to no unit.

export interface Decomposition {
  readonly units: readonly UnitRef[];
  readonly readers: readonly { readonly reader: ReaderRef; readonly writers: readonly UnitRef[] }[];
  /** False where a term of the stream is not one of the units: methods that need the whole sum must refuse. */
  readonly exactSum: boolean;
  /** Where it is false: the first such term. */
  readonly inexactAt?: Site;
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
  const inputs = inputsOf(graph);
  const units: UnitRef[] = [];
  const readers: { reader: ReaderRef; writers: readonly UnitRef[] }[] = [];
  let inexactAt: Site | undefined;
  const read = (reader: ReaderRef): void => {
    const { stream, heads } = traceRead(access, graph, reader);
    const terms = writersOf(graph, stream, inputs);
    if (!Array.isArray(terms)) {
      inexactAt ??= terms.sites[0] ?? `the operation ${terms.op}`;
      return;
    }
    if (reader.kind !== 'head') readers.push({ reader, writers: terms });
    else for (let head = 0; head < heads; head++) readers.push({ reader: { ...reader, head }, writers: terms });
  };
  const stacks = new Set<string>();
  // In the order of computation: an encoder before its decoder, attention before the MLP of its block.
  for (const { site, shape } of listSites(graph)) {
    const found = placeOf(site);
    if (!found) continue;
    const { place, rest } = found;
    const stack = place.stack === 'cross' ? 'decoder' : place.stack;
    if (!stacks.has(stack ?? '')) units.push(stack === undefined ? { kind: 'input' } : { kind: 'input', stack });
    stacks.add(stack ?? '');
    if (site === `${attentionSite(place)}.hook_z`) {
      for (const port of ['q', 'k', 'v'] as const) read({ kind: 'head', ...place, head: 0, port });
      for (let head = 0; head < Number(shape[2]); head++) units.push({ kind: 'head', ...place, head });
    } else if (mlpProductNames.includes(rest)) {
      const mlp = stack === undefined ? { layer: place.layer } : { stack, layer: place.layer };
      read({ kind: 'mlp', ...mlp, port: 'in' });
      units.push({ kind: 'mlp', ...mlp });
    }
  }
  if (stacks.size === 0) units.push({ kind: 'input' });
  read({ kind: 'logits', port: 'in' });
  units.push({ kind: 'logits' });
  return { units, readers, exactSum: inexactAt === undefined, ...(inexactAt === undefined ? {} : { inexactAt }) };
}

/** @throws CircuitscopeError `inexact_sum` where the stream is not the sum of the units */
export function edgesOf(decomposition: Decomposition): Edge[] {
  if (!decomposition.exactSum) throw inexactSum(decomposition);
  return decomposition.readers.flatMap(({ reader, writers }) => writers.map((from) => ({ from, to: reader })));
}

/** Why edges of a model cannot be told apart. */
export function inexactSum({ inexactAt = 'the stream' }: Decomposition): CircuitscopeError {
  return new CircuitscopeError(
    'inexact_sum',
    `The residual stream of this model is not the sum of what its heads and MLPs write: at ${inexactAt} something else stands between them and the stream, such as a norm or a dictionary. Edges between units do not exist here; patch or ablate sites instead.`,
    { at: inexactAt, expected: 'a sum of units' },
  );
}

export function countLayers(graph: Graph): number {
  return listSites(graph).filter(({ site }) => /^blocks\.\d+\.attn\.hook_z$/.test(site)).length;
}

/** The units whose outputs sum to a node of the stream, or the first term that is not a unit's. */
function writersOf(graph: Graph, stream: number, inputs: Inputs): UnitRef[] | GraphNode {
  const units: UnitRef[] = [];
  for (const term of termsOf(graph, stream)) {
    const found = unitsOfTerm(graph, term, inputs);
    if (!found) return term;
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

function unitsOfTerm(graph: Graph, term: GraphNode, inputs: Inputs): UnitRef[] | undefined {
  for (const name of term.sites) {
    // What a spliced dictionary changes is zero until a plan changes it; what it reads is still what its unit wrote.
    if (/\.hook_sae_(?:error_)?change$/.test(name)) return [];
    const site = name.replace(/\.hook_sae_(?:input|target)$/, '');
    const input = inputs.get(site);
    if (input) return [input];
    const found = placeOf(site);
    const match = /^hook_(attn|cross_attn|mlp)_out$/.exec(found?.rest ?? '');
    if (!found || !match) continue;
    const { place } = found;
    if (match[1] === 'mlp') {
      const stack = place.stack === 'cross' ? undefined : place.stack;
      return [{ kind: 'mlp', ...(stack === undefined ? {} : { stack }), layer: place.layer }];
    }
    // Heads write through the product that stands at hook_attn_out; behind a dictionary or a norm it stands there no longer.
    if (site !== name || listSites(graph).some((one) => one.site === headProductSites(place)[0])) return undefined;
    const heads = Number(findSite(graph, `${attentionSite(place)}.hook_z`).shape[2]);
    return Array.from({ length: heads }, (_, head) => ({ kind: 'head' as const, ...place, head }));
  }
  return undefined;
}

/** What enters a stream, by its site. */
type Inputs = ReadonlyMap<Site, UnitRef>;

function inputsOf(graph: Graph): Inputs {
  const known = new Set(listSites(graph).map(({ site }) => site));
  return new Map(
    ([undefined, 'encoder', 'decoder'] as const).flatMap((stack) =>
      inputSites((site) => known.has(site), stack).map((site): [Site, UnitRef] => [
        site,
        stack === undefined ? { kind: 'input' } : { kind: 'input', stack },
      ]),
    ),
  );
}

function nodeOf(graph: Graph, id: number): GraphNode {
  const node = graph.nodes[id];
  if (!node) throw new Error(`node ${id} is not in the graph`);
  return node;
}
