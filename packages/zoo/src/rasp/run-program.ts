import { CircuitscopeError } from '@circuitscope/schema';
import type { CausalProgram, CausalValue } from './causal-program.ts';
import { interpret } from './interpret.ts';
import { programTokens } from './program-tokens.ts';
import { parentsOf, type RaspProgram } from './rasp-program.ts';

/** A program as the causal model of its compiled form: on prompts of token ids, with BOS at position 0. */
export function causalProgram(program: RaspProgram): CausalProgram {
  const { answers } = programTokens(program);
  const number = answers.find(({ value }) => value === null)?.id;
  const valueAt = (id: number): CausalValue => {
    const value = program.vocabulary[id - 1];
    if (value !== undefined) return value;
    throw new CircuitscopeError('bad_prompt', `The program ${program.name} has no input token ${id}.`, {
      at: program.name,
      expected: `1 to ${program.vocabulary.length}`,
      got: String(id),
    });
  };
  return {
    variables: [
      { name: 'tokens', parents: [] },
      { name: 'indices', parents: [] },
      ...program.variables.map((variable) => ({ name: variable.name, parents: parentsOf(variable) })),
    ],
    output: program.output,
    evaluate: (tokens, overrides = {}) => {
      const [, ...ids] = tokens;
      const afterBos = Object.fromEntries(Object.entries(overrides).map(([name, column]) => [name, column.slice(1)]));
      const columns = interpret(program, ids.map(valueAt), afterBos);
      return Object.fromEntries([...columns].map(([name, column]) => [name, [null, ...column]]));
    },
    ...(number === undefined ? {} : { numberToken: number }),
    tokenOf: (value) => answers.find((answer) => answer.value === value && value !== null)?.id ?? null,
  };
}
