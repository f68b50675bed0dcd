import { Rng } from '@circuitscope/core';
import { CircuitscopeError, type Task, type TaskExample } from '@circuitscope/schema';
import type { TaskOptions } from '../zoo-member.ts';
import { programTokens } from './program-tokens.ts';
import type { RaspProgram } from './rasp-program.ts';
import { causalProgram } from './run-program.ts';

export interface ProgramTaskRules {
  /** Shortest input; 2 if left out. */
  readonly shortest?: number;
  /** Inputs without a token twice. */
  readonly distinct?: boolean;
  /** Inputs of one length have one output. */
  readonly always?: boolean;
}

/**
 * Random inputs of all lengths; the answer is what the program says at one position, the wrong answer what it says there
 * for another input of that length, or any other value where that is always the same. Where the output is a
 * number, the answer is the token that stands for it and the wrong answer BOS, whose logit is 0: then the logit difference
 * is the number itself.
 */
export function programTask(
  program: RaspProgram,
  { shortest = 2, distinct = false, always = false }: ProgramTaskRules,
  { seed, examples }: TaskOptions,
): Task {
  const rng = new Rng(seed, `zoo/rasp-${program.name}/task`);
  const causal = causalProgram(program);
  const { answers } = programTokens(program);
  const number = answers.find(({ value }) => value === null);
  const ids = program.vocabulary.map((_, index) => index + 1);
  const draw = (size: number): number[] => [
    0,
    ...(distinct ? rng.shuffle(ids).slice(0, size) : Array.from({ length: size }, () => rng.choice(ids))),
  ];
  const other = (id: number): number => rng.choice(answers.map((answer) => answer.id).filter((one) => one !== id));
  const example = (): TaskExample => {
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const size = shortest + rng.below(program.length - shortest + 1);
      const at = 1 + rng.below(size);
      const [clean, corrupt] = [draw(size), draw(size)];
      const [right, wrong] = [clean, corrupt].map((tokens) => causal.evaluate(tokens)[causal.output]?.[at] ?? null);
      if (right === undefined || right === null || wrong === undefined || wrong === null) continue;
      if (clean.join() === corrupt.join() || (right === wrong && !always)) continue;
      const positions = { END: at };
      if (number !== undefined) return { clean, corrupt, answer: number.id, wrongAnswer: 0, positions };
      const answer = causal.tokenOf(right) ?? 0;
      return { clean, corrupt, answer, wrongAnswer: always ? other(answer) : (causal.tokenOf(wrong) ?? 0), positions };
    }
    throw new CircuitscopeError('bad_program', `No two inputs of ${program.name} differ in what it says.`, {
      at: program.name,
    });
  };
  return {
    kind: 'task',
    version: 1,
    name: `rasp-${program.name}`,
    description: `${program.title}: what the program says at one position.`,
    metric: { kind: 'logit_diff', at: { kind: 'named', name: 'END' } },
    examples: Array.from({ length: examples }, example),
  };
}
