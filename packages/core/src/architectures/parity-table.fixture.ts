import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';

// How exact each model is, by kind of tensor: a table that tests fill as they compare recorded values. `CIRCUITSCOPE_PARITY` names a
// file that each table is added to; delete it first. For tests alone.

interface Row {
  readonly model: string;
  readonly numbers: string;
  readonly errors: readonly number[][];
}

export class ParityTable {
  readonly #title: string;
  readonly #kinds: readonly (readonly [kind: string, entries: RegExp])[];
  readonly #rows = new Map<string, Row>();

  /** @param kinds an entry is of the first kind whose pattern it has */
  constructor(title: string, kinds: readonly (readonly [kind: string, entries: RegExp])[]) {
    this.#title = title;
    this.#kinds = kinds;
  }

  /** @param error max |got − expected| / max |expected| of one recorded tensor */
  add(model: string, numbers: string, entry: string, error: number): void {
    const kind = this.#kinds.findIndex(([, entries]) => entries.test(entry));
    if (kind < 0) throw new Error(`${entry} is of no kind of the table of ${this.#title}`);
    const key = `${model}, ${numbers}`;
    const row = this.#rows.get(key) ?? { model, numbers, errors: this.#kinds.map(() => []) };
    this.#rows.set(key, row);
    row.errors[kind]?.push(error);
  }

  /** Holds that every row is there, that its errors are numbers, and that float64 is far closer than float32; then writes. */
  finish(models: readonly string[], numbers: readonly string[]): void {
    const worst = (row: Row | undefined): number => Math.max(...(row?.errors.flat() ?? []));
    for (const model of models) {
      const rows = numbers.map((each) => this.#rows.get(`${model}, ${each}`));
      for (const row of rows) {
        expect(row?.errors.flat().length, model).toBeGreaterThan(0);
        expect(worst(row), model).toBeLessThan(1e-2);
      }
      // The first is float64, the last what users run.
      expect(worst(rows[0]), model).toBeLessThan(1e-5);
      expect(rows.map((row) => row?.errors.map(({ length }) => length))).toEqual(
        rows.map(() => rows[0]?.errors.map(({ length }) => length)),
      );
    }
    expect(this.#rows.size).toBe(models.length * numbers.length);
    const file = process.env.CIRCUITSCOPE_PARITY;
    if (file !== undefined) appendFileSync(file, this.text());
  }

  /** In Markdown. */
  text(): string {
    const header = ['model', 'numbers', ...this.#kinds.map(([kind]) => kind)];
    const lines = [header, header.map(() => '---')];
    for (const { model, numbers, errors } of this.#rows.values())
      lines.push([
        model,
        numbers,
        ...errors.map((each) => {
          if (each.length === 0) return '';
          const mean = each.reduce((a, b) => a + b, 0) / each.length;
          return `${Math.max(...each).toExponential(1)} / ${mean.toExponential(1)}`;
        }),
      ]);
    const about =
      'max / mean over tensors of max |got − expected| / max |expected|; records of long tensors are rounded to float32, by 6e-8';
    return `## ${this.#title}\n\n${about}\n\n${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}\n\n`;
  }
}

/** Kinds of what transformers compute, by the names of sites. */
export const transformerKinds: readonly (readonly [kind: string, entries: RegExp])[] = [
  ['gradients of weights', /^grad\/.*\/param\//],
  ['gradients', /^grad\//],
  ['logits, loss', /^(logits|logit_diff|loss)$/],
  ['norms', /(^|\.)ln\w*\.|_norm\.|_ln(\.|$)|hook_normalized/],
  ['q k v z', /attn\.hook_(q|k|v|z|rot_q|rot_k|result)$/],
  ['scores, pattern', /hook_(attn_scores|pattern)$|rel_pos_bias/],
  ['MLP', /mlp\.(?!.*ln)/],
  ['stream', /hook_|embed|before_norm/],
];
