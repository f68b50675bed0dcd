import type { Dim } from '../graph/index.ts';
import type { Engine, Program, Sizes, Step } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { LensRun } from './capture-sites.ts';
import type { FinalRead } from './final-read.ts';

/** A value of a program that is written step by step; values keep slots of their own. */
export class LensProgram {
  readonly #values: Program['values'][number][] = [];
  readonly #inputs: Program['inputs'][number][] = [];
  readonly #outputs: Program['outputs'][number][] = [];
  readonly #params: string[] = [];
  readonly #steps: Step[] = [];

  value(shape: readonly Dim[], dtype: 'f32' | 'i32' = 'f32'): number {
    return this.#values.push({ shape, dtype, slot: this.#values.length }) - 1;
  }

  input(name: string, shape: readonly Dim[], dtype: 'f32' | 'i32' = 'f32'): number {
    const value = this.value(shape, dtype);
    this.#inputs.push({ name, value });
    return value;
  }

  output(name: string, value: number): void {
    this.#outputs.push({ name, value });
  }

  step(
    kernel: string,
    inputs: readonly number[],
    out: readonly number[],
    { params = [], attrs = {} }: { readonly params?: readonly (string | null)[]; readonly attrs?: Step['attrs'] } = {},
  ): number {
    const places = params.map((name) => {
      if (name === null) return -1;
      const known = this.#params.indexOf(name);
      return known >= 0 ? known : this.#params.push(name) - 1;
    });
    this.#steps.push({ kernel, in: inputs, out, params: places, attrs });
    return out[0] ?? -1;
  }

  build(): Program {
    return {
      version: 1,
      values: this.#values,
      slots: this.#values.length,
      inputs: this.#inputs,
      params: this.#params,
      steps: this.#steps,
      outputs: this.#outputs,
    };
  }
}

export type LensInputs = { readonly [name: string]: Floats | Int32Array };

export function runLensProgram(
  { executor, weights }: Engine,
  program: Program,
  binding: { readonly sizes: Sizes; readonly inputs: LensInputs },
  run: LensRun = {},
): Promise<{ readonly [output: string]: Floats | Int32Array }> {
  return executor.execute(program, weights, binding, run);
}

/** From streams [rows, width] to what the unembedding reads, by the steps that make the model's own. */
export function addFinalRead(program: LensProgram, final: FinalRead, stream: number, rows: Dim): number {
  const { width, norm, factor } = final;
  let read = stream;
  if (norm) {
    const out = program.value([rows, width]);
    const attrs = { kind: norm.kind, eps: norm.eps };
    read = program.step('norm', [read], [out, -1, -1], { params: [final.gain, final.shift], attrs });
  }
  return factor === 1 ? read : program.step('scale', [read], [program.value([rows, width])], { attrs: { factor } });
}

/** Logits [rows, 1, ids] of some ids of each row of what {@link addFinalRead} gives; `ids` is [rows, count]. */
export function addLogitsOf(program: LensProgram, final: FinalRead, read: number, ids: number, count: number): number {
  const { width, unembedding, bias, cap } = final;
  const x = program.step('reshape', [read], [program.value(['rows', 1, width])]);
  const params = [unembedding, bias];
  const product = program.step('columns', [x, ids], [program.value(['rows', 1, count])], { params });
  return cap ? program.step('soft_cap', [product], [program.value(['rows', 1, count])], { attrs: cap }) : product;
}
