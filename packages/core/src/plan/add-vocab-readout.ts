import { CircuitscopeError, type Pos, type Readout } from '@circuitscope/schema';
import { copyChain, type Dim, type GraphRewrite, traceRead } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { type BindContext, type ExternalInput, positionSizes, rowsOf } from './bind.ts';
import { finalRead, idFor, positionIndex, type ReadoutNodes, unembedding } from './final-read.ts';
import { boundShape } from './program.ts';
import { boundLayout, layoutOf } from './site-layout.ts';
import { resolveValue } from './values.ts';

/** Readouts of the distribution over the vocabulary, of which no row is ever held. */
export type VocabReadout = Extract<Readout, { kind: 'entropy' | 'logProb' | 'rank' | 'kl' }>;

/** Where each stands in a row of `vocab_statistics`. */
export const statisticOf: { readonly [kind in VocabReadout['kind']]: number } = {
  entropy: 1,
  logProb: 2,
  rank: 3,
  kl: 4,
};

/** A step that gives all statistics of the rows at `at`: several readouts share it, as long as they ask for the same. */
interface Reading {
  readonly at: Pos;
  readonly node: number;
  answer: readonly number[] | null;
  run: string | null;
}

const readings = new WeakMap<GraphRewrite, Reading[]>();

export function addVocabReadout(rewrite: GraphRewrite, readout: VocabReadout): ReadoutNodes {
  const answer = readout.kind === 'logProb' || readout.kind === 'rank' ? readout.answer : null;
  const run = readout.kind === 'kl' ? readout.run : null;
  const known = readings.get(rewrite) ?? [];
  readings.set(rewrite, known);
  const fits = <T>(has: T | null, wish: T | null): boolean =>
    has === null || wish === null || JSON.stringify(has) === JSON.stringify(wish);
  let reading = known.find((one) => same(one.at, readout.at) && fits(one.answer, answer) && fits(one.run, run));
  const externals: ExternalInput[] = [];
  if (!reading) {
    const product = unembedding(rewrite);
    const read = finalRead(rewrite, product.classes ? { kind: 'all' } : readout.at);
    externals.push(...read.externals);
    const attrs = { k: 0, ...(product.cap ?? {}) };
    const node = rewrite.add('vocab_statistics', [read.node, -1, -1], { params: product.params, attrs });
    reading = { at: readout.at, node, answer: null, run: null };
    known.push(reading);
  }
  if (answer && !reading.answer) {
    const ids = addAnswer(rewrite, answer, reading.node);
    externals.push(ids);
    reading.answer = answer;
    setInput(rewrite, reading.node, 1, ids.node);
  }
  if (run !== null && reading.run === null) {
    const reference = addReference(rewrite, run, readout.at);
    externals.push(...reference.externals);
    reading.run = run;
    setInput(rewrite, reading.node, 2, reference.node);
  }
  return { nodes: [reading.node], externals };
}

const same = (a: Pos, b: Pos): boolean => JSON.stringify(a) === JSON.stringify(b);

function setInput(rewrite: GraphRewrite, node: number, at: number, input: number): void {
  rewrite.replaceNode(node, { in: rewrite.node(node).in.map((old, index) => (index === at ? input : old)) });
}

/** The answer's id at every place of an example. */
function addAnswer(rewrite: GraphRewrite, answer: readonly number[], reading: number): ExternalInput {
  const { vocab } = unembedding(rewrite);
  const [, ...places] = rewrite.node(reading).shape.slice(0, -1);
  const node = rewrite.external('ids:answer', ['rows', ...places], 'i32');
  const make = (context: BindContext): Int32Array => {
    const count = boundShape(places, positionSizes(context)).reduce((total, size) => total * size, 1);
    const rows = rowsOf(context, 'rows');
    const ids = new Int32Array(rows.length * count);
    rows.forEach(({ example }, row) => {
      ids.fill(idFor(answer, example, vocab, 'answer'), row * count, (row + 1) * count);
    });
    return ids;
  };
  return { node, make };
}

/** What another run's last norm and unembedding read, through those of this plan. */
function addReference(
  rewrite: GraphRewrite,
  run: string,
  at: Pos,
): { readonly node: number; readonly externals: readonly ExternalInput[] } {
  const read = traceRead(rewrite, rewrite.source, { kind: 'logits', port: 'in' });
  // Edges into the logits change what this plan reads, not what the other run gave.
  const found = rewrite.node(read.stream);
  const stream = found.op === 'edge_read' ? rewrite.node(found.in[0] ?? -1) : found;
  const [site] = stream.sites;
  if (site === undefined) {
    throw new CircuitscopeError(
      'unsupported',
      'A divergence from another run reads the end of its stream, which has no site in this graph.',
      { at: 'kl' },
    );
  }
  const layout = layoutOf(stream, site, stream.sites);
  const shape: readonly Dim[] = ['batch', ...stream.shape.slice(1)];
  const node = rewrite.external(`reference:${run}`, shape);
  const make = (context: BindContext): Floats =>
    resolveValue({ kind: 'run', name: run }, boundLayout(layout, context), context).data;
  const externals: ExternalInput[] = [{ node, make }];
  let row = node;
  if (at.kind !== 'all' && !unembedding(rewrite).classes) {
    const index = positionIndex(rewrite, at);
    externals.push(...index.externals);
    row = rewrite.add('gather_rows', [node, index.node]);
  }
  return { node: copyChain(rewrite, read, row).at(-1) ?? row, externals };
}
