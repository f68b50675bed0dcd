import { badProgram, inferValues, type Values } from './infer-values.ts';
import type { RaspProgram, RaspValue } from './rasp-program.ts';

/** A variable's columns in the stream: one per value, or one for a number. */
export interface Block {
  readonly from: number;
  readonly to: number;
  readonly values: Values;
}

/** The stream of a compiled program: BOS and the token, the index, `one`, then a block per variable. */
export interface StreamBlocks {
  readonly width: number;
  /** 1 at BOS alone. */
  readonly bos: number;
  /** 1 at every position. */
  readonly one: number;
  readonly block: (name: string) => Block;
  /** The column into which the head of a width writes 1/(1 + width). */
  readonly share: (name: string) => number;
  /** Each value of a categorical variable with its column. */
  readonly columns: (name: string) => readonly { readonly column: number; readonly value: RaspValue }[];
  readonly columnOf: (name: string, value: RaspValue) => number;
}

export function streamBlocks(program: RaspProgram): StreamBlocks {
  const values = inferValues(program);
  const blocks = new Map<string, Block>();
  const shares = new Map<string, number>();
  const bos = 0;
  let width = 1;
  const place = (name: string): void => {
    const of: Values = values.get(name) ?? { kind: 'number' };
    const from = width;
    width += of.kind === 'number' ? 1 : of.values.length;
    blocks.set(name, { from, to: width, values: of });
  };
  place('tokens');
  place('indices');
  const one = width++;
  for (const variable of program.variables) {
    if (variable.kind === 'selector_width') shares.set(variable.name, width++);
    place(variable.name);
  }
  const block = (name: string): Block => {
    const found = blocks.get(name);
    if (!found) throw badProgram(program, name, 'is not defined');
    return found;
  };
  const columns = (name: string) => {
    const { from, values: of } = block(name);
    if (of.kind === 'number') throw badProgram(program, name, 'is a number where one of few values is needed');
    return of.values.map((value, index) => ({ column: from + index, value }));
  };
  return {
    width,
    bos,
    one,
    block,
    share: (name) => {
      const found = shares.get(name);
      if (found === undefined) throw badProgram(program, name, 'is not a width');
      return found;
    },
    columns,
    columnOf: (name, value) => {
      const found = columns(name).find((other) => other.value === value);
      if (!found) throw badProgram(program, name, `cannot be ${String(value)}`);
      return found.column;
    },
  };
}
