import { CircuitscopeError } from '@circuitscope/schema';
import type { AlgorithmInput, CausalProgram, CausalValues } from './causal-program.ts';
import { type Saying, sayings } from './compare-output.ts';

/** Prompts by number, with what the program makes of them and who agrees with whom. */
export interface PromptPool {
  readonly readable: readonly number[];
  readonly tokens: (index: number) => readonly number[];
  readonly said: (index: number) => readonly Saying[];
  readonly sameLength: (index: number) => readonly number[];
  /** Prompts of the same length with the same value of the variable at every position, itself among them. */
  readonly agreeing: (variable: string, index: number) => readonly number[];
  readonly alternatives: (variable: string, references: readonly number[]) => number;
}

export function promptPool(program: CausalProgram, inputs: readonly AlgorithmInput[]): PromptPool {
  const unique = [
    ...new Map(inputs.map((input) => [JSON.stringify([input.tokens, input.read ?? null]), input])).values(),
  ];
  const values: CausalValues[] = unique.map(({ tokens }) => program.evaluate(tokens));
  const said = unique.map((input, index) => sayings(program, values[index] ?? {}, input));
  const readable = said.flatMap((one, index) => (one.length > 0 ? [index] : []));
  if (readable.length < 2)
    throw new CircuitscopeError(
      'too_few_examples',
      'Scrubbing needs at least two prompts on which the program says something.',
      {
        expected: 'at least 2',
        got: String(readable.length),
      },
    );
  const groups = new Map<string, number[]>();
  const keys = new Map<string, string[]>();
  const put = (key: string, index: number): void => {
    groups.set(key, [...(groups.get(key) ?? []), index]);
  };
  unique.forEach(({ tokens }, index) => {
    put(`${tokens.length}`, index);
  });
  for (const { name } of program.variables) {
    const own = unique.map(({ tokens }, index) => `${name} ${tokens.length} ${JSON.stringify(values[index]?.[name])}`);
    keys.set(name, own);
    own.forEach(put);
  }
  const agreeing = (variable: string, index: number): readonly number[] =>
    groups.get(keys.get(variable)?.[index] ?? '') ?? [index];
  return {
    readable,
    tokens: (index) => unique[index]?.tokens ?? [],
    said: (index) => said[index] ?? [],
    sameLength: (index) => groups.get(`${unique[index]?.tokens.length}`) ?? [index],
    agreeing,
    alternatives: (variable, references) =>
      references.reduce((sum, index) => sum + agreeing(variable, index).length - 1, 0) / references.length,
  };
}

/** Examples of one length each, in batches. */
export function batchesOf(references: readonly number[], pool: PromptPool, size: number): number[][] {
  const byLength = new Map<number, number[]>();
  references.forEach((ref, example) => {
    const { length } = pool.tokens(ref);
    byLength.set(length, [...(byLength.get(length) ?? []), example]);
  });
  return [...byLength.values()].flatMap((members) =>
    Array.from({ length: Math.ceil(members.length / size) }, (_, at) => members.slice(at * size, (at + 1) * size)),
  );
}
