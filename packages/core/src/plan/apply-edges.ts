import {
  CircuitscopeError,
  canonicalJson,
  edgeLabel,
  type Intervention,
  type ReaderRef,
  type Site,
  type UnitRef,
  unitLabel,
  type Value,
} from '@circuitscope/schema';
import {
  attentionOutSite,
  attentionSite,
  blockSite,
  type Dim,
  decompose,
  type GraphRewrite,
  inexactSum,
  inputSites,
  readerSite,
  splitRead,
} from '../graph/index.ts';
import { type BindContext, type ExternalInput, rowsOf } from './bind.ts';
import { boundLayout, layoutOf } from './site-layout.ts';
import { resolveValue } from './values.ts';

// An edge is what one reader sees of one writer. The reader's copy of the stream gets x + Σ_u m_u·Δ_u, where Δ_u is the
// writer's output (cut to zero: m = -1) or the difference to another output (m = 1). One product for any set of edges,
// and the mask is data: thousands of circuits are one program.

type EdgeIntervention = Extract<Intervention, { kind: 'edge' }>;

export function applyEdges(rewrite: GraphRewrite, variants: readonly (readonly Intervention[])[]) {
  const externals: ExternalInput[] = [];
  const changed: { node: number; site: Site }[] = [];
  for (const { reader, edges } of edgesByReader(variants)) {
    checkEdges(rewrite, edges.flat());
    const split = splitRead(rewrite, reader);
    const heads = Number(rewrite.node(split).attrs.heads);
    const columns = columnsOf(edges.flat());
    const deltas = columns.map(({ from, value }) => addDelta(rewrite, from, value, externals));
    const same = canonicalJson(edges[0] ?? []);
    const uniform = edges.every((list) => canonicalJson(list) === same);
    const level = uniform ? 'batch' : 'rows';
    const width = Math.max(heads, 1);
    const mask = rewrite.external(`${readerSite(reader)}#edges`, [level, width, columns.length]);
    externals.push({ node: mask, make: (context) => edgeMask(edges, columns, width, level, context) });
    rewrite.replaceNode(split, { in: [rewrite.node(split).in[0] ?? -1, ...deltas, mask] });
    changed.push({ node: split, site: readerSite(reader) });
  }
  return { externals, changed };
}

interface ReaderEdges {
  readonly reader: ReaderRef;
  /** By variant. */
  readonly edges: readonly (readonly EdgeIntervention[])[];
}

function edgesByReader(variants: readonly (readonly Intervention[])[]): ReaderEdges[] {
  const groups = new Map<string, { reader: ReaderRef; edges: EdgeIntervention[][] }>();
  variants.forEach((list, variant) => {
    for (const change of list) {
      if (change.kind !== 'edge') continue;
      const site = readerSite(change.to);
      const group = groups.get(site) ?? { reader: change.to, edges: variants.map(() => []) };
      group.edges[variant]?.push(change);
      groups.set(site, group);
    }
  });
  return [...groups.values()];
}

function checkEdges(rewrite: GraphRewrite, edges: readonly EdgeIntervention[]): void {
  const decomposition = decompose(rewrite.source);
  const { readers, exactSum } = decomposition;
  const known = new Set(
    readers.flatMap(({ reader, writers }) => writers.map((from) => edgeLabel({ from, to: reader }))),
  );
  for (const edge of edges) {
    const label = edgeLabel(edge);
    if (!known.has(label)) {
      if (!exactSum) throw inexactSum(decomposition);
      throw new CircuitscopeError(
        'unknown_edge',
        `This model has no edge ${label}: the writer must come before the reader and both must exist.`,
        {
          at: label,
          got: label,
        },
      );
    }
    if (edge.value.kind === 'const' && edge.value.value !== 0) {
      throw new CircuitscopeError(
        'bad_value',
        `The edge ${label} can carry zero or a value of another run, not the constant ${edge.value.value}.`,
        {
          at: label,
          expected: '0',
          got: String(edge.value.value),
        },
      );
    }
  }
}

interface Column {
  readonly key: string;
  readonly from: UnitRef;
  readonly value: Value;
}

function columnsOf(edges: readonly EdgeIntervention[]): Column[] {
  const columns = new Map<string, Column>();
  for (const { from, value } of edges) {
    const key = columnKey(from, value);
    if (!columns.has(key)) columns.set(key, { key, from, value });
  }
  // Terms are added in this order, so it must not depend on which variants share the program.
  return [...columns.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function columnKey(from: UnitRef, value: Value): string {
  return `${unitLabel(from)} ${value.kind === 'const' ? 0 : canonicalJson(value)}`;
}

function edgeMask(
  edges: ReaderEdges['edges'],
  columns: readonly Column[],
  heads: number,
  level: 'batch' | 'rows',
  context: BindContext,
): Float32Array {
  const rows = rowsOf(context, level);
  const size = heads * columns.length;
  const mask = new Float32Array(rows.length * size);
  const columnOf = new Map(columns.map(({ key }, column) => [key, column]));
  const columnsOfUnit = Map.groupBy(columns.keys(), (column) => unitLabel(columns[column]?.from ?? { kind: 'input' }));
  // Examples of a variant share its entries, so each variant's are worked out once.
  const perVariant = new Map<number, Float32Array>();
  rows.forEach(({ variant }, row) => {
    let entries = perVariant.get(variant);
    if (!entries) {
      entries = new Float32Array(size);
      for (const edge of edges[variant] ?? []) {
        const head = edge.to.kind === 'head' ? edge.to.head : 0;
        // In list order: a later value of the same edge replaces an earlier one.
        for (const column of columnsOfUnit.get(unitLabel(edge.from)) ?? []) entries[head * columns.length + column] = 0;
        entries[head * columns.length + (columnOf.get(columnKey(edge.from, edge.value)) ?? 0)] =
          edge.value.kind === 'const' ? -1 : 1;
      }
      perVariant.set(variant, entries);
    }
    mask.set(entries, row * size);
  });
  return mask;
}

/** The node [rows, pos, model] that a mask entry multiplies; shared between readers. */
function addDelta(rewrite: GraphRewrite, from: UnitRef, value: Value, externals: ExternalInput[]): number {
  const name = `delta:${columnKey(from, value)}`;
  const existing = rewrite.find(name);
  if (existing) return existing.id;
  const delta = outputDelta(rewrite, from, value, externals);
  const node = rewrite.node(delta);
  // Names of inner nodes; a capture cannot ask for them since no site starts so.
  rewrite.replaceNode(delta, { sites: [...node.sites, name] });
  return delta;
}

function outputDelta(rewrite: GraphRewrite, from: UnitRef, value: Value, externals: ExternalInput[]): number {
  switch (from.kind) {
    case 'input': {
      const parts = inputSites((site) => rewrite.find(site) !== undefined, from.stack);
      const deltas = parts.map((site) => siteDelta(rewrite, site, value, externals));
      return rewrite.add('sum', deltas);
    }
    case 'head': {
      const site = `${attentionSite(from)}.hook_z`;
      const out = rewrite.find(attentionOutSite(from));
      const product = out ? rewrite.root(out.id) : undefined;
      const width = product?.shape[2] ?? 0;
      return rewrite.add('head_result', [siteDelta(rewrite, site, value, externals)], {
        params: [product?.params[0] ?? null],
        attrs: { head: from.head, width },
      });
    }
    case 'mlp': {
      const delta = siteDelta(rewrite, `${blockSite(from)}.hook_mlp_out`, value, externals);
      return rewrite.add('sum', [delta]);
    }
    default:
      throw new CircuitscopeError(
        'unsupported_unit',
        `Edges can start at the input, a head or an MLP, not at ${unitLabel(from)}.`,
        { got: unitLabel(from) },
      );
  }
}

/** The site itself (to be taken away), or another value of it minus the site. */
function siteDelta(rewrite: GraphRewrite, site: string, value: Value, externals: ExternalInput[]): number {
  const node = rewrite.find(site);
  if (!node) throw new CircuitscopeError('unknown_site', `This model has no site ${site}.`, { at: site });
  if (value.kind === 'const') return node.id;
  const name = `other:${canonicalJson([site, value])}`;
  const existing = rewrite.find(name);
  if (existing) return existing.id;
  const layout = layoutOf(rewrite.root(node.id), site, node.sites);
  const shape: readonly Dim[] = ['batch', ...node.shape.slice(1)];
  const other = rewrite.external(name, shape);
  externals.push({
    node: other,
    make: (context) => {
      const { rows, data } = resolveValue(value, boundLayout(layout, context), context);
      if (rows === context.batch) return data;
      const all =
        data instanceof Float64Array
          ? new Float64Array(data.length * context.batch)
          : new Float32Array(data.length * context.batch);
      for (let row = 0; row < context.batch; row++) all.set(data, row * data.length);
      return all;
    },
  });
  const delta = rewrite.add('subtract', [other, node.id]);
  rewrite.replaceNode(delta, { sites: [name] });
  return delta;
}
