import { CircuitscopeError, type Task, type TaskExample } from '@circuitscope/schema';
import type { ModelSize, TokenChoice } from '../features/index.ts';
import { Rng } from '../tensor/index.ts';

/**
 * What a model is asked, the same for every model of a size. F are h different random tokens.
 * `copy`: F, then F again up to a place: name what follows. `shuffled`: F, then some of F in another order: name what
 * followed the last token in F, which stands at another distance than in a plain repeat. `once`: F, other tokens, one token
 * of F: name what followed it. `current`, `previous`: nothing repeats; how much the current and the previous token are
 * favoured. `duplicate`: as `once`; how much a token that comes again is favoured.
 */
export const behaviourNames = ['copy', 'shuffled', 'once', 'current', 'previous', 'duplicate'] as const;
export type BehaviourName = (typeof behaviourNames)[number];

/** Those that an induction circuit does; the others say what else its parts do. */
export const copyingBehaviours: readonly BehaviourName[] = ['copy', 'shuffled', 'once'];

export interface BehaviourOptions extends TokenChoice {
  readonly seed: number;
  readonly examples: number;
  /** h, at most 12 if left out. */
  readonly half?: number;
}

/**
 * One behaviour as a task. The corrupt prompt is as long, of tokens drawn afresh, and repeats nothing. The metric is the
 * logit difference between the answer and another token, both of the prompt, read at `END`, its last token; `TARGET` is
 * where the answer stands in F, `OFFSET` where it would stand if the order were kept (`shuffled` alone has another).
 * @throws CircuitscopeError `too_few` where vocabulary or context are too small
 */
export function behaviourTask(
  name: BehaviourName,
  size: Pick<ModelSize, 'vocab' | 'context'>,
  options: BehaviourOptions,
): Task {
  const { seed, examples, bos = null } = options;
  const given = options.tokens ?? Array.from({ length: size.vocab }, (_, id) => id);
  const words = [...new Set(given)].filter((id) => id !== bos);
  const start = bos === null ? [] : [bos];
  const room = Math.floor((size.context - start.length) / 2);
  const most = Math.min(room, Math.floor(words.length / 2));
  const half = options.half ?? Math.min(12, most);
  if (!(Number.isInteger(half) && half >= 3 && half <= most)) {
    throw new CircuitscopeError(
      'too_few',
      `The behaviour ${name} repeats 3 to ${most} tokens here, by the context of ${size.context} and ${words.length} tokens; got ${half}.`,
      { expected: `3 to ${most}`, got: String(half) },
    );
  }
  const rng = new Rng(seed, `universality/${name}`);
  const make = { words, start, half, rng, room: size.context - start.length };
  return {
    kind: 'task',
    version: 1,
    name,
    metric: { kind: 'logit_diff', at: { kind: 'named', name: 'END' } },
    examples: Array.from({ length: examples }, () => example(name, make)),
  };
}

interface Make {
  readonly words: readonly number[];
  readonly start: readonly number[];
  readonly half: number;
  readonly room: number;
  readonly rng: Rng;
}

function example(name: BehaviourName, { words, start, half, room, rng }: Make): TaskExample {
  const drawn = draw(words, Math.min(words.length, 3 * half), rng);
  const first = drawn.slice(0, half);
  const shown = 1 + rng.below(half - 1);
  const finish = (rest: readonly number[], answer: number, target: number, offset: number): TaskExample => {
    const clean = [...start, ...first, ...rest];
    const current = clean[clean.length - 1];
    const wrongAnswer = rng.choice(first.filter((id) => id !== answer && id !== current));
    return {
      clean,
      corrupt: [...start, ...draw(words, clean.length - start.length, rng)],
      answer,
      wrongAnswer,
      positions: { END: clean.length - 1, TARGET: start.length + target, OFFSET: start.length + offset },
    };
  };
  const answerAt = (place: number): number => first[place] as number;
  switch (name) {
    case 'copy':
      return finish(first.slice(0, shown), answerAt(shown), shown, shown);
    case 'shuffled': {
      const place = rng.choice(Array.from({ length: half - 1 }, (_, at) => at).filter((at) => at !== shown - 1));
      const others = rng.shuffle(first.filter((_, at) => at !== place && at !== place + 1)).slice(0, shown - 1);
      // The second part has `shown` tokens, so that a plain repeat would have its answer at `shown`.
      const rest = [...others, answerAt(place)];
      return finish(rest, answerAt(place + 1), place + 1, rest.length);
    }
    case 'once':
    case 'duplicate': {
      const place = rng.below(half - 1);
      const between = Math.min(half, drawn.length - half - 1, room - half - 1);
      const rest = [...drawn.slice(half, half + between), answerAt(place)];
      const target = name === 'once' ? place + 1 : place;
      return finish(rest, answerAt(target), target, target);
    }
    case 'current':
    case 'previous': {
      const rest = drawn.slice(half, half + shown);
      const before = rest[rest.length - 2] ?? first[half - 1];
      const answer = name === 'current' ? (rest[rest.length - 1] as number) : (before as number);
      const target = half + rest.length - (name === 'current' ? 1 : 2);
      return finish(rest, answer, target, target);
    }
  }
}

function draw(words: readonly number[], count: number, rng: Rng): number[] {
  if (count * 4 > words.length) return rng.shuffle(words).slice(0, count);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(rng.choice(words));
  return [...chosen];
}
