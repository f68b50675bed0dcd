import type { ExpectedFailure, ZooMember } from '../zoo-member.ts';
import { type CompiledProgram, compileProgram } from './compile-program.ts';
import { type ProgramTaskRules, programTask } from './program-task.ts';
import { programTokens } from './program-tokens.ts';
import { programTruth } from './program-truth.ts';
import {
  detectPattern,
  fracPrevs,
  hist,
  length,
  pairBalance,
  reverse,
  shiftByOne,
  shuffleDyck2,
  sort,
  sortUnique,
} from './programs.ts';
import type { RaspProgram } from './rasp-program.ts';
import { causalProgram } from './run-program.ts';

/** Edges into queries and keys of heads that attend to one position alone. */
const saturated = (...edges: readonly string[]): ExpectedFailure[] => [
  {
    method: 'attribution',
    edges,
    why: 'One key scores 100 and the others at most 50, so the pattern is 1 and 0 to the last bit and has no slope: a gradient through queries or keys is 0.',
  },
];

function member(
  program: RaspProgram,
  rules: ProgramTaskRules = {},
  expectedFailures: readonly ExpectedFailure[] = [],
): ZooMember {
  let made: CompiledProgram | undefined;
  const compiled = (): CompiledProgram => {
    made ??= compileProgram(program);
    return made;
  };
  return {
    name: `rasp-${program.name}`,
    title: `${program.title}, compiled`,
    made: 'A program over sequences, compiled to weights: each variable has columns of its own in the stream, each operation its own head or ReLU units.',
    model: () => compiled().model(),
    task: (options) => programTask(program, rules, options),
    get truth() {
      return [programTruth(program, 'zero'), programTruth(program, 'resample')];
    },
    bos: 0,
    get tokens() {
      return programTokens(program).texts;
    },
    program: causalProgram(program),
    get alignment() {
      return compiled().alignment;
    },
    expectedFailures,
  };
}

export const raspMembers: readonly ZooMember[] = [
  member(fracPrevs),
  member(shiftByOne, {}, saturated('input→0.0.Q', 'input→0.0.K')),
  member(hist),
  member(length, { always: true }),
  member(sortUnique, { distinct: true }, saturated('input→1.0.Q', 'mlp0→1.0.K')),
  member(reverse, {}, saturated('mlp2→3.0.Q', 'input→3.0.K')),
  member(pairBalance),
  member(sort, {}, saturated('input→2.0.Q', 'mlp1→2.0.K')),
  member(detectPattern, { shortest: 3 }, saturated('input→1.0.Q', 'input→1.0.K', 'input→1.1.Q', 'input→1.1.K')),
  member(shuffleDyck2),
];
