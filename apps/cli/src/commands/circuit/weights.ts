import { type Model, modelRef } from '@circuitscope/core/architectures';
import {
  type ComposedPair,
  compositionTable,
  type EffectiveWeight,
  effectiveWeights,
  queryHeads,
} from '@circuitscope/core/circuits';
import { decompose, type Edge, edgesOf } from '@circuitscope/core/graph';
import { CircuitscopeError, edgeLabel, parseEdgeLabel, readerLabel } from '@circuitscope/schema';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource } from '../../examine/open-source.ts';
import { choice, integer, valued, withDefault } from '../../options/index.ts';
import { numbers, print, progress, type Style, styleFor, table } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';

const kinds = ['composition', 'effective'] as const;
const SHOWN = 20;

export const weights = command({
  summary: 'what the weights alone say of edges: composition of heads, signed effective weights',
  details:
    'composition: how much of what a head writes lies where the query, key or value of a later head reads, ‖W_OV R‖ / (‖W_OV‖ ‖R‖), raw and minus what random matrices of these shapes have; never negative. effective: f2ᵀ W f1 between directions that have names (a token as its writer writes it, the logit of the token, the query or key of a token), same token minus other tokens; signed. Both are static: rotary positions and the scales of norms are left out. Nothing is run, so neither says what an edge does; circuit discover does.',
  options: {
    model: modelOption,
    kind: withDefault(choice(kinds, 'which weights'), 'composition'),
    edge: valued('EDGE', 'both kinds of one edge, such as 0.0->1.0.K (head, head and port)', parseEdgeLabel),
    top: integer('N', `the N largest (default: ${SHOWN} in text, all in JSON)`, { min: 1 }),
  },
  examples: [
    {
      line: 'circuitscope circuit weights --model ./gpt2 --top 10',
      about: 'pairs of heads that compose most beyond chance',
    },
    {
      line: 'circuitscope circuit weights --model zoo:induction-handwritten --edge 0.0->1.0.K',
      about: 'one edge: K-composition 0.35355, effective weight 40',
    },
    {
      line: 'circuitscope circuit weights --model ./gpt2 --kind effective --json',
      about: 'signed weights of all edges, for another program',
    },
  ],
  run: async (options, io) => {
    const { model, source } = await openSource(options.model, io);
    const { kind, edge, top } = options;
    const edges = edgesOf(decompose(model.graph));
    const chosen = edge ? [requireEdge(edge, edges, model)] : edges;
    using bar = progress(io, 'multiplying weights');
    const settings = { signal: io.signal, onProgress: (share: number) => bar.update(share) };
    const composed = edge || kind === 'composition' ? await compositionTable(model, settings) : [];
    const effective = edge || kind === 'effective' ? await effectiveOf(model, chosen, settings) : [];
    bar.end();
    const label = edge ? edgeLabel(edge) : null;
    const pairs = byExcess(
      composed.map((pair) => pairDocument(model, pair)).filter((pair) => label === null || pair.edge === label),
    );
    const signed = [...effective].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    const limit = top ?? Number.POSITIVE_INFINITY;
    const document = {
      kind: 'edge_weights',
      version: 1,
      model: { ...(await modelRef(model)), source },
      ...(edge || kind === 'composition' ? { composition: pairs.slice(0, limit) } : {}),
      ...(edge || kind === 'effective' ? { effective: signed.slice(0, limit) } : {}),
    };
    print(io, options, documentOf(document), () => {
      const shown = top ?? SHOWN;
      return [
        ...(edge || kind === 'composition' ? [compositionText(pairs, shown, styleFor(io))] : []),
        ...(edge || kind === 'effective' ? [effectiveText(signed, shown, styleFor(io))] : []),
      ].join('\n');
    });
  },
});

function requireEdge(wanted: Edge, edges: readonly Edge[], model: Model): Edge {
  const label = edgeLabel(wanted);
  const found = edges.find((edge) => edgeLabel(edge) === label);
  if (found) return found;
  throw new CircuitscopeError(
    'unknown_edge',
    `${model.name} has no edge ${label}: the writer must come before the reader and both must exist.`,
    { at: '--edge', got: label },
  );
}

interface PairRow {
  readonly edge: string;
  /** The reading head; where query heads share a key/value head, several read through one edge. */
  readonly head: string;
  readonly port: 'q' | 'k' | 'v';
  readonly raw: number;
  readonly baseline: number;
  readonly excess: number;
}

function pairDocument({ spec }: Model, { from, to, port, raw, baseline }: ComposedPair): PairRow {
  const head = port === 'q' ? to.head : Math.floor((to.head * spec.kvHeads) / spec.heads);
  const edge = edgeLabel({ from: { kind: 'head', ...from }, to: { kind: 'head', layer: to.layer, head, port } });
  return { edge, head: `${to.layer}.${to.head}`, port, raw, baseline, excess: raw - baseline };
}

function byExcess(pairs: readonly PairRow[]): PairRow[] {
  return [...pairs].sort((a, b) => b.excess - a.excess || (`${a.edge} ${a.head}` < `${b.edge} ${b.head}` ? -1 : 1));
}

interface SignedRow extends EffectiveWeight {
  readonly edge: string;
  readonly head: string;
}

async function effectiveOf(
  model: Model,
  edges: readonly Edge[],
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (share: number) => void },
): Promise<SignedRow[]> {
  const rows: SignedRow[] = [];
  for (const [at, edge] of edges.entries()) {
    if (at % 8 === 0) {
      // Signals and progress need a turn between products.
      await new Promise((resolve) => setTimeout(resolve));
      signal.throwIfAborted();
      onProgress(at / edges.length);
    }
    const { to } = edge;
    const heads = to.kind === 'head' ? queryHeads(to, model.spec) : [undefined];
    for (const head of heads) {
      const reader = to.kind === 'head' ? `${to.layer}.${head}` : readerLabel(to);
      for (const weight of effectiveWeights(model, edge, undefined, head)) {
        rows.push({ edge: edgeLabel(edge), head: reader, ...weight });
      }
    }
  }
  return rows;
}

function compositionText(pairs: readonly PairRow[], shown: number, style: Style): string {
  if (pairs.length === 0) return 'No two heads compose: the edge does not lie between heads, or there is one layer.\n';
  const rows = pairs
    .slice(0, shown)
    .map(({ edge, head, port, raw, baseline, excess }) => [
      edge,
      head,
      port.toUpperCase(),
      numbers.fixed(raw, 5),
      numbers.fixed(baseline, 5),
      numbers.fixed(excess, 5),
    ]);
  const columns = [
    { title: 'edge' },
    { title: 'reader' },
    { title: 'composition' },
    right('raw'),
    right('random'),
    right('raw − random'),
  ];
  return `${table(columns, rows, style)}${more(pairs.length, shown)}`;
}

function effectiveText(weights: readonly SignedRow[], shown: number, style: Style): string {
  if (weights.length === 0)
    return 'No effective weight: directions have names between the input, heads and the logits only.\n';
  const rows = weights
    .slice(0, shown)
    .map(({ edge, head, kind, from, to, value, matched, unmatched }) => [
      edge,
      head,
      kind,
      from,
      to,
      numbers.fixed(value),
      numbers.fixed(matched),
      numbers.fixed(unmatched),
    ]);
  const columns = [
    { title: 'edge' },
    { title: 'reader' },
    { title: 'weight' },
    { title: 'from' },
    { title: 'to' },
    right('value'),
    right('same token'),
    right('others'),
  ];
  return `${table(columns, rows, style)}${more(weights.length, shown)}`;
}

const right = (title: string) => ({ title, align: 'right' as const });

function more(count: number, shown: number): string {
  return count > shown ? `${numbers.count(count - shown)} more; --top N shows them, --json prints all.\n` : '';
}
