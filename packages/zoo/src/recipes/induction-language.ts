// A made-up language with repeats. Every draw comes from splitmix32, and every sequence has a start state of its own, so that
// a program in any language rebuilds any sequence; the rules stand in ../../trained/induction-attn-2l/README.md.

export const VOCABULARY = 256;
export const CONTEXT = 64;
const WORDS = VOCABULARY - 1;
export const BOS = 0;

/** What a sequence is for. The training stream of seed i is `train` + i. */
export const streams = { table: 1, tokens: 2, evaluationText: 3, evaluationRepeats: 4, train: 100 } as const;

const SUCCESSORS = 6;
const P_SUCCESSOR = 0.85;
const P_REPEAT_SEQUENCE = 0.3;
const PERIOD = { least: 8, most: 31 };
const COPY = { chance: 0.1, from: 8, least: 5, most: 20 };

/** The output function of splitmix32, on unsigned 32 bits. */
function mix(value: number): number {
  let z = value >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad) >>> 0;
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97) >>> 0;
  return (z ^ (z >>> 15)) >>> 0;
}

/** Uniform numbers in [0, 1), one after the other. */
function drawsOf(stream: number, index: number): () => number {
  let state = mix((mix(stream) + index) >>> 0);
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state) / 4294967296;
  };
}

/** Running sums over their total, added from the left. */
function cumulative(weights: readonly number[]): Float64Array {
  const sums = new Float64Array(weights.length);
  let sum = 0;
  weights.forEach((weight, at) => {
    sum += weight;
    sums[at] = sum;
  });
  return sums.map((part) => part / sum);
}

const zipf = cumulative(Array.from({ length: WORDS }, (_, at) => 1 / (at + 3)));
const places = cumulative(Array.from({ length: SUCCESSORS }, (_, at) => 1 / (at + 1)));

/** The first place whose running sum exceeds u. */
function pick(sums: Float64Array, u: number): number {
  let [low, high] = [0, sums.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] ?? 0) > u) high = middle;
    else low = middle + 1;
  }
  return low;
}

let table: readonly (readonly number[])[] | undefined;

/** [vocabulary][6]: distinct other words that may follow a word, the likely ones first. */
export function successors(): readonly (readonly number[])[] {
  if (table) return table;
  const draw = drawsOf(streams.table, 0);
  const made: number[][] = [[]];
  for (let word = 1; word < VOCABULARY; word++) {
    const row: number[] = [];
    while (row.length < SUCCESSORS) {
      const candidate = 1 + pick(zipf, draw());
      if (candidate !== word && !row.includes(candidate)) row.push(candidate);
    }
    made.push(row);
  }
  table = made;
  return made;
}

/**
 * One sequence of 64 tokens: BOS, then a random repeat or text with copied segments. Two draws choose kind and period; then
 * each position takes exactly three, used or not.
 * @param repeats chance of a random repeat; 0.3 in training, 0 for text alone
 */
export function sequence(stream: number, index: number, repeats = P_REPEAT_SEQUENCE): number[] {
  const draw = drawsOf(stream, index);
  const next = successors();
  const isRepeat = draw() < repeats;
  const period = PERIOD.least + Math.floor(draw() * (PERIOD.most - PERIOD.least + 1));
  const tokens = [BOS];
  let [source, left] = [0, 0];
  for (let position = 1; position < CONTEXT; position++) {
    const [a, b, c] = [draw(), draw(), draw()];
    if (isRepeat) {
      tokens.push(position <= period ? 1 + Math.floor(a * WORDS) : (tokens[position - period] ?? 0));
      continue;
    }
    if (position >= COPY.from && left === 0 && a < COPY.chance) {
      source = 1 + Math.floor(b * (position - 4));
      left = COPY.least + Math.floor(c * (COPY.most - COPY.least + 1));
    }
    const previous = tokens[position - 1] ?? BOS;
    if (left > 0) {
      tokens.push(tokens[source] ?? 0);
      source += 1;
      left -= 1;
    } else if (b < P_SUCCESSOR && previous !== BOS) tokens.push(next[previous]?.[pick(places, c)] ?? 0);
    else tokens.push(1 + pick(zipf, c));
  }
  return tokens;
}

/** BOS, `half` distinct random words, the same words again. */
export function repeatedWords(index: number, half: number): number[] {
  const draw = drawsOf(streams.evaluationRepeats, index);
  const words = Array.from({ length: WORDS }, (_, at) => at + 1);
  for (let place = 0; place < half; place++) {
    const other = place + Math.floor(draw() * (WORDS - place));
    [words[place], words[other]] = [words[other] ?? 0, words[place] ?? 0];
  }
  const first = words.slice(0, half);
  return [BOS, ...first, ...first];
}
