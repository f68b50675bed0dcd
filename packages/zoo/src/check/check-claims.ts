import {
  attributionGraph,
  cutEdges,
  decompose,
  type Edge,
  type Engine,
  edgesOf,
  exactPatchScores,
  influence,
  interchangeAccuracy,
  measure,
  rowValues,
  scoreHeads,
  scoresBy,
  sourceRuns,
  taskData,
} from '@circuitscope/core';
import type { ZooCheckRow } from '@circuitscope/schema';
import { algorithmInputs } from '../algorithm-inputs.ts';
import { familyName } from '../families.ts';
import { twelveNodes } from '../influence-graph.ts';
import type { Law, ZooMember } from '../zoo-member.ts';

export interface ClaimOptions {
  readonly quick: boolean;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly threads?: number;
}

/** What a member is held to beside its edges: its laws, its algorithm, what its training must have taught it. */
export async function checkClaims(member: ZooMember, engine: Engine, options: ClaimOptions): Promise<ZooCheckRow[]> {
  const rows: ZooCheckRow[] = [];
  for (const law of member.laws ?? []) rows.push(await lawClaim(member, engine, law, options));
  if (member.program && member.alignment) rows.push(...(await algorithmClaims(member, engine, options)));
  if (familyName(member)?.startsWith('induction-')) rows.push(...(await headClaims(member, engine, options)));
  return rows;
}

/** Of a graph without a model: influence worked out by hand. */
export function influenceClaim(): ZooCheckRow {
  const { nodes, edges, logits, influence: expected } = twelveNodes;
  const graph = attributionGraph(
    nodes,
    edges.map(({ source, target, weight }) => ({ from: source, to: target, weight })),
  );
  const targets = new Float64Array(nodes);
  for (const { node, probability } of logits) targets[node] = probability;
  const found = influence(graph, targets).nodes;
  const error = Math.max(...expected.map((value, at) => Math.abs(value - (found[at] ?? 0))));
  return claim(
    'influence-12-nodes',
    'influence of all twelve nodes is what the hand says, to 1e-12',
    error,
    error < 1e-12,
  );
}

function claim(member: string, text: string, value: number, right: boolean): ZooCheckRow {
  return { kind: 'claim', member, claim: text, outcome: right ? 'right' : 'wrong', value };
}

async function lawClaim(
  member: ZooMember,
  engine: Engine,
  law: Law,
  { seed, quick, ...run }: ClaimOptions,
): Promise<ZooCheckRow> {
  const data = taskData(member.task({ seed, examples: quick ? 8 : 24 }));
  const edges = edgesOf(decompose(engine.graph));
  const { ablation, tolerance } = law;
  if (law.kind === 'attribution_is_exact') {
    const about = { ablation, metric: 'logit_diff' as const, ...run };
    const exact = await exactPatchScores(engine, data, edges, about);
    const estimated = await scoresBy({ kind: 'eap' }, engine, data, edges, about);
    const largest = Math.max(1, ...exact.scores.map(Math.abs));
    const error = Math.max(...exact.scores.map((value, at) => Math.abs(value - (estimated.scores[at] ?? 0)))) / largest;
    return claim(member.name, `EAP is the exact effect of every edge (${ablation})`, error, error <= tolerance);
  }
  const counted = ({ from, to }: Edge): boolean =>
    law.edges === 'from_input' ? from.kind === 'input' : to.kind === 'logits';
  const chosen = edges.filter(counted);
  const runs = await sourceRuns(engine, data, ablation, run);
  const variants = [[], cutEdges(edges, ablation), ...chosen.map((edge) => cutEdges([edge], ablation))];
  const measured = await measure(engine, data, 'logit_diff', variants, { ...run, runs });
  const none = rowValues(measured, 1);
  const errors = [...rowValues(measured, 0)].map((whole, at) => {
    const total = whole - (none[at] ?? 0);
    const parts = chosen.reduce((sum, _, k) => sum + whole - (rowValues(measured, k + 2)[at] ?? 0), 0);
    return Math.abs(parts - total) / Math.max(1, Math.abs(total));
  });
  const error = Math.max(...errors);
  const where = law.edges === 'from_input' ? 'from the input' : 'into the logits';
  return claim(
    member.name,
    `effects of edges ${where} sum to the whole effect (${ablation})`,
    error,
    error <= tolerance,
  );
}

/** Exchanging a variable where the alignment says does what the program says; where a wrong one says, it does not. */
async function algorithmClaims(
  member: ZooMember,
  engine: Engine,
  { seed, quick, ...run }: ClaimOptions,
): Promise<ZooCheckRow[]> {
  const { program, alignment } = member;
  if (!program || !alignment) return [];
  const inputs = algorithmInputs(member, { seed, examples: quick ? 16 : 32 });
  const results = await interchangeAccuracy(engine, {
    program,
    alignment,
    inputs,
    seed,
    pairs: quick ? 12 : 32,
    ...run,
  });
  const told = results.filter(({ score }) => score.changing);
  const least = Math.min(...told.map(({ score }) => score.changing?.value ?? 1));
  const rows = [
    claim(member.name, 'interchange accuracy of the true alignment is 1 for every variable', least, least === 1),
  ];
  const wrong = told.flatMap(({ nulls }) =>
    nulls.flatMap(({ changing, predicted }) =>
      changing && (predicted === null || predicted[1] < 1) ? [changing.value] : [],
    ),
  );
  if (wrong.length > 0) {
    const most = Math.max(...wrong);
    rows.push(claim(member.name, 'no wrong alignment that the program can tell apart reaches 1', most, most < 1));
  }
  return rows;
}

const LEAST_SCORE = 0.6;

async function headClaims(
  member: ZooMember,
  engine: Engine,
  { seed, quick, ...run }: ClaimOptions,
): Promise<ZooCheckRow[]> {
  const { vocab, context, layers, heads } = member.model().spec;
  const scores = await scoreHeads(
    engine,
    { vocab, context, layers, heads },
    { seed, bos: member.bos, examples: quick ? 8 : 32, resamples: 100, run },
  );
  return (['previousToken', 'induction'] as const).map((kind, layer) => {
    const value = Math.max(...scores.filter((one) => one.layer === layer).map((one) => one[kind].value));
    const what = kind === 'induction' ? 'induction' : 'previous-token';
    const text = `a head of layer ${layer} has a ${what} score of at least ${LEAST_SCORE}`;
    return claim(member.name, text, value, value >= LEAST_SCORE);
  });
}
