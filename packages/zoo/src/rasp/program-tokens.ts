import { inferValues } from './infer-values.ts';
import type { RaspProgram, RaspValue } from './rasp-program.ts';

/** Ids of a program's tokens: BOS, its vocabulary, and what only the answer can be. */
export interface ProgramTokens {
  /** Text of each id. */
  readonly texts: readonly string[];
  /** Id of each value of the output. Where the output is a number, its logit is the number, and its id stands alone. */
  readonly answers: readonly { readonly value: RaspValue | null; readonly id: number }[];
}

export function programTokens(program: RaspProgram): ProgramTokens {
  const output = inferValues(program).get(program.output);
  const texts = ['<bos>', ...program.vocabulary.map(String)];
  if (output?.kind !== 'one_hot') return { texts: [...texts, 'value'], answers: [{ value: null, id: texts.length }] };
  const answers = output.values.map((value) => {
    const known = program.vocabulary.indexOf(value);
    if (known >= 0) return { value, id: known + 1 };
    texts.push(String(value));
    return { value, id: texts.length - 1 };
  });
  return { texts, answers };
}
