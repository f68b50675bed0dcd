import type { Batch, Floats, Rng, Tensor } from '@circuitscope/core';

export interface SortingSizes {
  /** Numbers are the tokens 0 … values − 1. */
  readonly values: number;
  /** Numbers in a list, all different. */
  readonly length: number;
  readonly equals: number;
  readonly bos: number;
  readonly width: number;
  readonly headWidth: number;
}

/** Prompt: BOS, the list, `=`, the answer without its last number. */
export function sortedList(
  rng: Rng,
  { values, length, equals, bos }: SortingSizes,
): { readonly prompt: readonly number[]; readonly answer: readonly number[] } {
  const list = rng.shuffle(Array.from({ length: values }, (_, value) => value)).slice(0, length);
  const answer = [...list].sort((a, b) => a - b);
  return { prompt: [bos, ...list, equals, ...answer.slice(0, -1)], answer };
}

export interface ScoreTables {
  /** [query, key]: W_E W_Q (W_E W_K)ᵀ/√d_head, queries all numbers and then `=`, keys all numbers. */
  readonly scores: Float64Array;
  /** [number, output]: W_E W_V W_O W_U, what attending to a number adds to the logit of each. */
  readonly copies: Float64Array;
}

/** What the head does to numbers, places left out. Weights by name, shaped as the graph reads them. */
export function scoreTables(weights: ReadonlyMap<string, Tensor>, sizes: SortingSizes): ScoreTables {
  const { values, width, headWidth } = sizes;
  const data = (name: string): Floats => weights.get(name)?.data ?? new Float64Array();
  const embedded = data('embed.W_E').slice(0, (values + 1) * width);
  const head = (port: string): Float64Array =>
    product(embedded, data(`blocks.0.attn.W_${port}`), values + 1, width, headWidth);
  const [queries, keys] = [head('Q'), head('K')];
  const scores = new Float64Array((values + 1) * values);
  for (let q = 0; q <= values; q++) {
    for (let k = 0; k < values; k++) {
      let sum = 0;
      for (let c = 0; c < headWidth; c++) sum += (queries[q * headWidth + c] ?? 0) * (keys[k * headWidth + c] ?? 0);
      scores[q * values + k] = sum / Math.sqrt(headWidth);
    }
  }
  const written = product(head('V'), data('blocks.0.attn.W_O'), values, headWidth, width);
  const logits = product(written, data('unembed.W_U'), values, width, values + 2);
  const copies = new Float64Array(values * values);
  for (let v = 0; v < values; v++) copies.set(logits.subarray(v * (values + 2), v * (values + 2) + values), v * values);
  return { scores, copies };
}

/**
 * `order`: of a query, the next larger number of a list and any other of that list, how often the next larger one has the higher
 * score: the share over all such triples, `=` as a query below all numbers. `copied`: the share of numbers that raise their
 * own logit most.
 */
export function tableShares(
  { scores, copies }: ScoreTables,
  { values }: Pick<SortingSizes, 'values'>,
): { readonly order: number; readonly copied: number } {
  let [right, triples, copied] = [0, 0, 0];
  for (let q = -1; q < values; q++) {
    const row = (q < 0 ? values : q) * values;
    for (let next = q + 1; next < values; next++) {
      for (let other = 0; other < values; other++) {
        // Numbers between the query and the next larger one are not in the list.
        if (other > q && other <= next) continue;
        triples++;
        if ((scores[row + next] ?? 0) > (scores[row + other] ?? 0)) right++;
      }
    }
  }
  for (let v = 0; v < values; v++) {
    const row = copies.subarray(v * values, (v + 1) * values);
    if (row.every((value, other) => other === v || value < (row[v] ?? 0))) copied++;
  }
  return { order: right / triples, copied: copied / values };
}

/** Shares of right numbers, and of examples with every number right, of logits [example, pos, vocab]. */
export function rightAnswers(
  logits: Floats,
  targets: Floats | Int32Array,
  { batch, pos }: Pick<Batch, 'batch' | 'pos'>,
  { values, length }: Pick<SortingSizes, 'values' | 'length'>,
): { readonly accuracy: number; readonly lists_right: number } {
  let [right, lists] = [0, 0];
  for (let example = 0; example < batch; example++) {
    let wrong = 0;
    for (let at = example * pos; at < (example + 1) * pos; at++) {
      const target = targets[at] ?? -1;
      if (target < 0) continue;
      const row = logits.subarray(at * (values + 2), (at + 1) * (values + 2));
      if (row.some((value, other) => other !== target && value >= (row[target] ?? 0))) wrong++;
    }
    right += length - wrong;
    if (wrong === 0) lists++;
  }
  return { accuracy: right / (batch * length), lists_right: lists / batch };
}

/** Mean attention, of the one head [example, 1, query, key], on the place in the list of the number that is to come. */
export function attentionOn(
  pattern: Floats,
  tokens: Floats | Int32Array,
  targets: Floats | Int32Array,
  pos: number,
): number {
  let [sum, count] = [0, 0];
  for (let at = 0; at < targets.length; at++) {
    const target = targets[at] ?? -1;
    if (target < 0) continue;
    const example = Math.floor(at / pos);
    const key = tokens.subarray(example * pos, at + 1).indexOf(target);
    sum += pattern[at * pos + key] ?? 0;
    count++;
  }
  return sum / count;
}

/** [rows, inner] × [inner, columns]. */
function product(left: Floats, right: Floats, rows: number, inner: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const factor = left[row * inner + k] ?? 0;
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        out[at] = (out[at] ?? 0) + factor * (right[k * columns + column] ?? 0);
      }
    }
  }
  return out;
}
