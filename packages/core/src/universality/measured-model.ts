import type { ModelRef } from '@circuitscope/schema';
import { engineFor, type Model, modelRef } from '../architectures/index.ts';
import type { Matrix } from '../circuits/index.ts';
import type { Executor } from '../plan/index.ts';
import { type BehaviourName, copyingBehaviours } from './behaviours.ts';
import { correlation } from './dissimilarity.ts';
import { type HeadRoleOptions, type MeasuredRoles, measureHeadRoles } from './head-roles.ts';
import { identityCoefficient, type Match, matchHeads, vectorOf } from './match-heads.ts';
import { type RoleGraph, roleGraph, weightedJaccard } from './role-graph.ts';

/** Everything that comparisons read of one model. */
export interface MeasuredModel {
  readonly ref: ModelRef;
  readonly roles: MeasuredRoles;
  readonly graph: RoleGraph;
  readonly stream: Matrix;
  /** Mean accuracy on the copying behaviours. */
  readonly accuracy: number;
}

export async function measureModel(model: Model, executor: Executor, options: HeadRoleOptions): Promise<MeasuredModel> {
  const roles = await measureHeadRoles(engineFor(model, executor), model, options);
  const { shape, data } = roles.stream;
  const of = (name: BehaviourName): number => roles.accuracy[name];
  return {
    ref: await modelRef(model),
    roles,
    graph: await roleGraph(model),
    stream: { rows: shape[0] ?? 0, columns: shape[1] ?? 0, data: Float64Array.from(data) },
    accuracy: copyingBehaviours.reduce((sum, name) => sum + of(name), 0) / copyingBehaviours.length,
  };
}

/** The heads of two models matched, by all that is known of them and without what interchanging them does. */
export interface MatchedModels {
  readonly whole: Match;
  readonly withoutAblation: Match;
}

export function matchModels(a: MeasuredModel, b: MeasuredModel): MatchedModels {
  return {
    whole: matchHeads(a.roles.heads, b.roles.heads),
    withoutAblation: matchHeads(a.roles.heads, b.roles.heads, false),
  };
}

/** The lesser of the two models' accuracies on the copying behaviours: whether both do it. */
export function functionalScore(a: MeasuredModel, b: MeasuredModel): number {
  return Math.min(a.accuracy, b.accuracy);
}

/** Mean over matched heads of the identity coefficient of their roles. */
export function rolesScore(a: MeasuredModel, b: MeasuredModel, { whole }: MatchedModels): number {
  const values = headSimilarities(a, b, whole).filter((value) => value !== null);
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;
}

/** For each head of a; null without a partner. */
export function headSimilarities(a: MeasuredModel, b: MeasuredModel, match: Match): readonly (number | null)[] {
  return a.roles.heads.map((head, at) => {
    const other = b.roles.heads[match[at] ?? -1];
    return other ? identityCoefficient(vectorOf(head), vectorOf(other)) : null;
  });
}

/**
 * Correlation over all (matched head, behaviour) of what interchanging a head takes away, with heads matched by
 * observation and weights alone. Each model may be asked its own question; 0 is the true one. 0 where one side does not vary.
 */
export function causalScore(
  a: MeasuredModel,
  b: MeasuredModel,
  match: Match,
  [questionA, questionB]: readonly [number, number] = [0, 0],
): number {
  const [left, right]: [number[], number[]] = [[], []];
  a.roles.heads.forEach((_, at) => {
    const other = match[at] ?? -1;
    if (other < 0) return;
    left.push(...profileOf(a, at, questionA));
    right.push(...profileOf(b, other, questionB));
  });
  const value = left.length > 1 ? correlation(left, right) : 0;
  return Number.isFinite(value) ? value : 0;
}

export function edgesScore(a: MeasuredModel, b: MeasuredModel, match: Match): number {
  return weightedJaccard(a.graph, b.graph, match);
}

function profileOf({ roles }: MeasuredModel, head: number, question: number): Float64Array {
  const width = roles.heads[0]?.ablation.length ?? 0;
  if (question === 0) return roles.heads[head]?.ablation ?? new Float64Array();
  return roles.otherQuestions[question - 1]?.slice(head * width, (head + 1) * width) ?? new Float64Array();
}
