import {
  Comparison,
  type ComparisonNull,
  type ModelPair,
  mustParse,
  type Provenance,
  type ScoreOverModels,
} from '@circuitscope/schema';
import { hashTask } from '../circuits/index.ts';
import type { Executor, RunOptions } from '../plan/index.ts';
import { mean } from '../statistics/index.ts';
import { relabellings, rewiredNull, wrongTask } from './comparison-nulls.ts';
import { debiasedCka } from './linear-cka.ts';
import type { Match } from './match-heads.ts';
import { type ComparedUnit, type ModelGroup, measureGroups, requireModels } from './measure-groups.ts';
import {
  causalScore,
  edgesScore,
  functionalScore,
  headSimilarities,
  type MatchedModels,
  type MeasuredModel,
  matchModels,
  rolesScore,
} from './measured-model.ts';
import {
  controlNull,
  nullOf,
  type Pairing,
  type PairScores,
  pairsOf,
  scoreOverModels,
  toMean,
} from './score-over-models.ts';
import { universalityRule, universalityVerdict } from './universality-rule.ts';

export interface CompareModelsOptions {
  readonly name: string;
  readonly description?: string;
  readonly groups: readonly ModelGroup[];
  readonly executor: Executor;
  readonly seed: number;
  /** Prompts per behaviour, 32 if left out. */
  readonly examples?: number;
  /** Untrained models per group; as many as subjects and at least 8 if left out. */
  readonly untrained?: number;
  /** Draws of each null, 499 if left out; of other questions, 99. */
  readonly draws?: number;
  readonly questions?: number;
  readonly provenance: Pick<Provenance, 'tool' | 'toolVersion' | 'numericsVersion'>;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

const definitions = {
  functional: 'the lesser of the two models’ mean accuracies on copy, shuffled and once',
  roles:
    'mean over matched heads of 1 − |u − v|²/(|u|² + |v|²), u and v their roles and ablation effects; heads matched so that roles and depth differ least',
  causal:
    'correlation over matched heads and behaviours of what interchanging a head takes away; heads matched by roles without these effects',
  edges:
    'Σ min / Σ max of composition above the random-matrix baseline, over edges named by matched heads and port (weighted Jaccard)',
} as const;

/**
 * Claim 3: the circuit of one behaviour over several models. All models of a group run the same stimuli; heads are matched
 * by what they do; functional, roles, causal and edges scores over all pairs stand beside their nulls, and the verdict
 * follows from {@link universalityRule}. With one group all its pairs count, with several those between groups. No model
 * is left out.
 * @throws CircuitscopeError `too_few_models`
 */
export async function compareModels(options: CompareModelsOptions): Promise<Comparison> {
  const { groups, seed, examples = 32, draws = 499, questions = 99, run = {} } = options;
  requireModels(groups);
  const pairing: Pairing = groups.length > 1 ? 'between' : 'within';
  const measured = await measureGroups({ ...options, examples, questions });
  const subjects = measured.filter(({ as }) => as === 'subject');
  run.signal?.throwIfAborted();

  const matches = new Map<string, MatchedModels>();
  const at = (list: readonly ComparedUnit[], i: number): ComparedUnit => list[i] as ComparedUnit;
  const matchOf = (a: ComparedUnit, b: ComparedUnit): MatchedModels => {
    const key = JSON.stringify([a.id, b.id]);
    const known = matches.get(key) ?? matchModels(a.model, b.model);
    matches.set(key, known);
    return known;
  };
  const all = pairsOf(subjects, pairing);
  const scoring = {
    functional: (a: ComparedUnit, b: ComparedUnit) => functionalScore(a.model, b.model),
    roles: (a: ComparedUnit, b: ComparedUnit) => rolesScore(a.model, b.model, matchOf(a, b)),
    causal: (a: ComparedUnit, b: ComparedUnit) => causalScore(a.model, b.model, matchOf(a, b).withoutAblation),
    edges: (a: ComparedUnit, b: ComparedUnit) => edgesScore(a.model, b.model, matchOf(a, b).whole),
  } as const;
  const observed = (score: keyof typeof scoring): number =>
    mean(all.map(([i, j]) => scoring[score](at(subjects, i), at(subjects, j))));

  const relabelled = relabellings(subjects, seed, draws);
  const fromRelabelling = (
    kind: 'causal' | 'edges',
    of: (a: MeasuredModel, b: MeasuredModel, match: Match) => number,
  ) =>
    relabelled === null
      ? null
      : nullOf(
          'permuted_roles',
          'the heads of each layer of each model exchange their roles at random, edges and effects stay; mean over pairs',
          observed(kind),
          relabelled.map((permuted) =>
            mean(
              all.map(([i, j]) => {
                const found = matchOf(at(subjects, i), at(subjects, j));
                const match = kind === 'causal' ? found.withoutAblation : found.whole;
                return of(at(subjects, i).model, at(subjects, j).model, permuted(i, j, match));
              }),
            ),
          ),
        );
  const nulls: { readonly [score in keyof typeof scoring]: readonly (ComparisonNull | null)[] } = {
    functional: [],
    roles: [],
    causal: [
      fromRelabelling('causal', (a, b, match) => causalScore(a, b, match)),
      wrongTask(subjects, all, questions, matchOf, observed('causal')),
    ],
    edges: [fromRelabelling('edges', edgesScore), rewiredNull(subjects, all, matchOf, observed('edges'), seed, draws)],
  };
  const controlNames = [...new Set(measured.flatMap(({ control }) => (control ? [control] : [])))];
  const scores = (Object.keys(scoring) as (keyof typeof scoring)[]).map((score): ScoreOverModels => {
    const fromControls = controlNames.map((name) => {
      const controls = measured.filter(({ control }) => control === name);
      const together = [...subjects, ...controls];
      const table = tabulated(together.length, (i, j) => scoring[score](at(together, i), at(together, j)));
      return controlNull(name, subjects, controls, pairing, table, { seed, draws });
    });
    const missing =
      relabelled === null && (score === 'causal' || score === 'edges')
        ? [{ kind: 'permuted_roles', reason: 'no layer has two heads, so there is nothing to exchange' }]
        : [];
    return scoreOverModels(
      score,
      definitions[score],
      subjects,
      pairing,
      tabulated(subjects.length, (i, j) => scoring[score](at(subjects, i), at(subjects, j))),
      [...nulls[score].filter((one) => one !== null), ...fromControls],
      missing,
      seed,
    );
  });
  return mustParse(
    Comparison,
    {
      kind: 'comparison',
      version: 1,
      name: options.name,
      ...(options.description ? { description: options.description } : {}),
      models: measured.map(({ id, group, as, control, seed: own, model }) => ({
        id,
        group,
        as,
        model: model.ref,
        ...(control ? { control } : {}),
        ...(own === undefined ? {} : { seed: own }),
      })),
      pairs: all.map(([i, j]) => pairRecord(at(subjects, i), at(subjects, j), matchOf, scoring)),
      pairing,
      scores,
      similarities: streamSimilarity(subjects, pairing, seed),
      verdict: universalityVerdict(scores),
      provenance: provenanceOf(options, measured, { examples, draws, questions }),
    },
    'the comparison of models',
  );
}

function pairRecord(
  a: ComparedUnit,
  b: ComparedUnit,
  matchOf: (a: ComparedUnit, b: ComparedUnit) => MatchedModels,
  scoring: { readonly [score in keyof ModelPair['scores']]: (a: ComparedUnit, b: ComparedUnit) => number },
): ModelPair {
  const { whole } = matchOf(a, b);
  const unit = ({ model }: ComparedUnit, head: number) => {
    const found = model.roles.heads[head];
    return { kind: 'head' as const, layer: found?.layer ?? 0, head: found?.head ?? 0 };
  };
  return {
    a: a.id,
    b: b.id,
    matched: headSimilarities(a.model, b.model, whole).flatMap((similarity, head) =>
      similarity === null ? [] : [{ a: unit(a, head), b: unit(b, whole[head] as number), similarity }],
    ),
    scores: {
      functional: scoring.functional(a, b),
      roles: scoring.roles(a, b),
      causal: scoring.causal(a, b),
      edges: scoring.edges(a, b),
    },
  };
}

/** Only where all ran the same prompts: else the rows are not the same stimuli. */
function streamSimilarity(
  subjects: readonly ComparedUnit[],
  pairing: Pairing,
  seed: number,
): Comparison['similarities'] {
  const prompts = new Set(subjects.map(({ model }) => model.roles.tasks.map(hashTask).join()));
  if (prompts.size > 1) return [];
  const score: PairScores = tabulated(subjects.length, (i, j) =>
    debiasedCka({ x: (subjects[i] as ComparedUnit).model.stream, y: (subjects[j] as ComparedUnit).model.stream }),
  );
  return [
    {
      measure: 'linear CKA, debiased',
      site: 'the last stream at the last token of the copying behaviours',
      estimate: toMean(subjects, pairing, score, seed),
    },
  ];
}

/** Each pair once, then looked up: permutations ask for the same pairs thousands of times. */
function tabulated(count: number, score: PairScores): PairScores {
  const known = new Float64Array(count * count).fill(Number.NaN);
  return (i, j) => {
    const [low, high] = i < j ? [i, j] : [j, i];
    const at = low * count + high;
    if (Number.isNaN(known[at])) known[at] = score(low, high);
    return known[at] as number;
  };
}

function provenanceOf(
  { provenance, seed, groups }: CompareModelsOptions,
  measured: readonly ComparedUnit[],
  parameters: { readonly examples: number; readonly draws: number; readonly questions: number },
): Provenance {
  return {
    ...provenance,
    method: 'heads matched by roles; functional, roles, causal and edges scores over models beside their nulls',
    parameters: { ...parameters, rule: universalityRule.id },
    seeds: [seed],
    data: groups.flatMap(({ name }) =>
      (measured.find(({ group }) => group === name)?.model.roles.tasks ?? []).map((task) => ({
        hash: hashTask(task),
        n: task.examples.length,
        how: `generated; ${task.name} for ${name}`,
      })),
    ),
  };
}
