import type { ComparisonNull } from '@circuitscope/schema';
import { mean } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';
import type { Match } from './match-heads.ts';
import type { ComparedUnit } from './measure-groups.ts';
import { causalScore, edgesScore, type MatchedModels } from './measured-model.ts';
import { rewired } from './role-graph.ts';
import { nullOf } from './score-over-models.ts';

// Each null answers a question of its own; all are means over the same pairs as the score they stand beside.

type Pairs = readonly (readonly [number, number])[];
type MatchOf = (a: ComparedUnit, b: ComparedUnit) => MatchedModels;

/** The match of a pair after the heads of both have got new names within their layers. */
export type Relabelling = (i: number, j: number, match: Match) => Match;

/** One for each draw; null where no layer has two heads. The heads of a model get the same new names in all its pairs. */
export function relabellings(
  subjects: readonly ComparedUnit[],
  seed: number,
  draws: number,
): readonly Relabelling[] | null {
  const layersOf = subjects.map(({ model }) => model.graph.layers);
  if (layersOf.every((layers) => new Set(layers).size === layers.length)) return null;
  const rng = new Rng(seed, 'universality/permuted-roles');
  return Array.from({ length: draws }, () => {
    const names = layersOf.map((layers) => shuffledWithin(layers, rng));
    return (i: number, j: number, match: Match): Match =>
      match.map((_, head) => {
        const other = match[names[i]?.[head] as number] as number;
        return other < 0 ? -1 : (names[j]?.[other] as number);
      });
  });
}

function shuffledWithin(layers: readonly number[], rng: Rng): readonly number[] {
  const result = layers.map((_, head) => head);
  for (const layer of new Set(layers)) {
    const members = result.filter((_, head) => layers[head] === layer);
    const shuffled = rng.shuffle(members);
    members.forEach((head, at) => {
      result[head] = shuffled[at] as number;
    });
  }
  return result;
}

/** Whether effects agree because they are about this behaviour: one of each pair is asked something else. Null without questions. */
export function wrongTask(
  subjects: readonly ComparedUnit[],
  pairs: Pairs,
  questions: number,
  matchOf: MatchOf,
  observed: number,
): ComparisonNull | null {
  if (questions === 0) return null;
  const drawn = Array.from({ length: questions }, (_, question) =>
    mean(
      pairs.map(([i, j]) => {
        const [a, b] = [subjects[i] as ComparedUnit, subjects[j] as ComparedUnit];
        const match = matchOf(a, b).withoutAblation;
        const asked = (questions: readonly [number, number]) => causalScore(a.model, b.model, match, questions);
        return (asked([0, question + 1]) + asked([question + 1, 0])) / 2;
      }),
    ),
  );
  return nullOf(
    'wrong_task',
    'the same prompts, but one model of each pair is asked for two tokens drawn at random, neither of them the answer or the current token',
    observed,
    drawn,
  );
}

/** Whether wiring agrees beyond what each head sends and reads in all. */
export function rewiredNull(
  subjects: readonly ComparedUnit[],
  pairs: Pairs,
  matchOf: MatchOf,
  observed: number,
  seed: number,
  draws: number,
): ComparisonNull {
  const rng = new Rng(seed, 'universality/rewired');
  const drawn = Array.from({ length: draws }, () => {
    const graphs = subjects.map(({ model }) => rewired(model.graph, rng));
    return mean(
      pairs.map(([i, j]) => {
        const [a, b] = [subjects[i] as ComparedUnit, subjects[j] as ComparedUnit];
        const [left, right] = [
          { ...a.model, graph: graphs[i] ?? a.model.graph },
          { ...b.model, graph: graphs[j] ?? b.model.graph },
        ];
        return edgesScore(left, right, matchOf(a, b).whole);
      }),
    );
  });
  return nullOf(
    'rewired',
    'graphs with the same roles and the same weighted degrees of every head, wired at random between the same layers; mean over pairs',
    observed,
    drawn,
  );
}
