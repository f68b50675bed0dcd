import {
  acdc,
  compareEdgeSets,
  compositionScores,
  decompose,
  type Edge,
  type EdgeScores,
  type Engine,
  type Executor,
  edgesOf,
  engineFor,
  exactPatchScores,
  importance,
  judgeAgainst,
  judgeRanking,
  type Model,
  randomScores,
  scoresBy,
  type TaskData,
  taskData,
} from '@circuitscope/core';
import type { ZooCheckRow } from '@circuitscope/schema';
import { zooMembers } from '../open-model.ts';
import type { Truth, ZooMember } from '../zoo-member.ts';
import { checkClaims, influenceClaim } from './check-claims.ts';
import { expectationOf } from './expectations.ts';

// The judge: every discovery method on every member whose circuit is known. A row is right when the method finds what is
// true, or goes wrong where it is written down that it must, and why.

export const checkMethods = ['exact', 'acdc', 'eap', 'eap-ig', 'attribution', 'composition', 'random'] as const;
export type CheckMethod = (typeof checkMethods)[number];

export interface CheckOptions {
  readonly executor: Executor;
  readonly members?: readonly string[];
  readonly methods?: readonly CheckMethod[];
  /** Members of few edges alone, and fewer examples. */
  readonly quick?: boolean;
  readonly seed: number;
  readonly run?: { readonly signal?: AbortSignal; readonly threads?: number };
  readonly onRow?: (row: ZooCheckRow, wallTimeMs: number) => void;
  readonly onProgress?: (share: number, member: string) => void;
}

/** Edges of the largest model that the quick subset takes. */
const QUICK_EDGES = 60;
/** A ranking is right from here on. */
export const RIGHT_AUROC = 0.95;
const IG_STEPS = 16;

/** Rows in the order of members, truths and methods; each member's own claims follow its rows. */
export async function checkZoo(options: CheckOptions): Promise<readonly ZooCheckRow[]> {
  const { executor, members, methods = checkMethods, quick = false, onProgress } = options;
  const chosen = zooMembers.filter(({ name }) => members === undefined || members.includes(name));
  const rows: ZooCheckRow[] = [];
  const add = (row: ZooCheckRow, start: number): void => {
    rows.push(row);
    options.onRow?.(row, performance.now() - start);
  };
  for (const [at, member] of chosen.entries()) {
    options.run?.signal?.throwIfAborted();
    onProgress?.(at / chosen.length, member.name);
    const model = member.model();
    const engine = engineFor(model, executor);
    const edges = edgesOf(decompose(model.graph));
    const small = edges.length <= QUICK_EDGES;
    if (member.truth.length > 0 && (small || !quick)) {
      const data = taskData(member.task({ seed: options.seed, examples: quick ? 16 : 32 }));
      for (const truth of member.truth) {
        const about = { engine, model, data, edges, truth, options };
        const reference = await exactPatchScores(engine, data, edges, { ...truth, ...options.run });
        for (const method of methods) {
          const start = performance.now();
          add(await judged(member, method, about, reference), start);
        }
      }
    }
    const start = performance.now();
    for (const row of await checkClaims(member, engine, { quick, seed: options.seed, ...options.run })) add(row, start);
  }
  if (members === undefined) add(influenceClaim(), performance.now());
  onProgress?.(1, '');
  return rows;
}

interface About {
  readonly engine: Engine;
  readonly model: Model;
  readonly data: TaskData;
  readonly edges: readonly Edge[];
  readonly truth: Truth;
  readonly options: CheckOptions;
}

async function judged(
  member: ZooMember,
  method: CheckMethod,
  about: About,
  reference: EdgeScores,
): Promise<ZooCheckRow> {
  const { truth, edges } = about;
  const expected = expectationOf(member.name, truth, method);
  const base = {
    member: member.name,
    ablation: truth.ablation,
    metric: truth.metric,
    method,
    edges: edges.length,
    trueEdges: truth.edges.length,
    ...(expected ? { expected: expected.why } : {}),
  };
  const gradient = method === 'eap' || method === 'eap-ig' || method === 'attribution';
  if (gradient && truth.metric === 'accuracy') {
    return { kind: 'method', ...base, outcome: 'not_applicable', reason: 'accuracy has no gradient' };
  }
  if (method === 'acdc') {
    const found = await acdc(about.engine, about.data, edges, {
      ...truth,
      threshold: Math.max(truth.tolerance, 1e-9),
      bySize: true,
      ...about.options.run,
    });
    const set = compareEdgeSets(found.edges, truth.edges);
    const right = set.exact;
    return {
      kind: 'method',
      ...base,
      outcome: outcomeOf(right, expected !== undefined),
      found: found.edges.length,
      exact: set.exact,
      jaccard: set.jaccard,
      forwards: found.forwards,
      backwards: 0,
    };
  }
  if (method !== 'exact' && truth.edges.length === 0) {
    return { kind: 'method', ...base, outcome: 'not_applicable', reason: 'no edge is true, so none can stand first' };
  }
  const scores = method === 'exact' ? reference : await scoredBy(method, about);
  if (method === 'exact' && truth.edges.length === 0) {
    const found = beyond(scores, truth.tolerance).length;
    return {
      kind: 'method',
      ...base,
      outcome: outcomeOf(found === 0, expected !== undefined),
      found,
      exact: found === 0,
      forwards: scores.forwards,
      backwards: scores.backwards,
    };
  }
  const ranking = judgeRanking(scores, truth.edges);
  const found = method === 'exact' ? beyond(scores, truth.tolerance) : best(scores, truth.edges.length);
  const set = compareEdgeSets(found, truth.edges);
  const signs = judgeAgainst(scores, reference);
  const right = method === 'exact' ? set.exact : ranking.auroc.value >= RIGHT_AUROC;
  // Chance is neither right nor wrong: it is what the others must beat.
  const outcome =
    method === 'random' || method === 'composition' ? 'baseline' : outcomeOf(right, expected !== undefined);
  return {
    kind: 'method',
    ...base,
    outcome,
    found: found.length,
    exact: set.exact,
    jaccard: set.jaccard,
    auroc: ranking.auroc.value,
    ...(signs.sameSign === null ? {} : { sameSign: signs.sameSign }),
    forwards: scores.forwards,
    backwards: scores.backwards,
  };
}

/** A failure that was foreseen is right; one that did not come is not: then the expectation is wrong. */
function outcomeOf(right: boolean, foreseen: boolean): 'right' | 'fails_as_expected' | 'wrong' | 'unexpectedly_right' {
  if (right) return foreseen ? 'unexpectedly_right' : 'right';
  return foreseen ? 'fails_as_expected' : 'wrong';
}

async function scoredBy(
  method: Exclude<CheckMethod, 'exact' | 'acdc'>,
  { engine, model, data, edges, truth, options }: About,
): Promise<EdgeScores> {
  switch (method) {
    case 'random':
      return randomScores(edges, options.seed);
    case 'composition':
      return compositionScores(model, edges);
    case 'eap-ig':
      return scoresBy({ kind: 'eap-ig', steps: IG_STEPS }, engine, data, edges, { ...truth, ...options.run });
    default:
      return scoresBy({ kind: method }, engine, data, edges, { ...truth, ...options.run });
  }
}

function beyond({ edges, scores }: EdgeScores, tolerance: number): Edge[] {
  return edges.filter((_, at) => Math.abs(scores[at] ?? 0) > tolerance);
}

/** As many edges as are true, the largest scores first; equal ones in the order of edges, unscored ones last. */
function best(scores: EdgeScores, count: number): Edge[] {
  const sizes = importance(scores);
  const size = (at: number): number => (Number.isNaN(sizes[at]) ? Number.NEGATIVE_INFINITY : (sizes[at] ?? 0));
  return [...scores.edges.keys()]
    .sort((a, b) => size(b) - size(a) || a - b)
    .slice(0, count)
    .flatMap((at) => scores.edges[at] ?? []);
}
