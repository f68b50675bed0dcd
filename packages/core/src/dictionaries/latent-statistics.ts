import { CircuitscopeError } from '@circuitscope/schema';
import { comesBefore, latentBin, latentBins } from '../kernels/index.ts';
import type { LatentRows } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';

// What each latent of a dictionary does over many tokens, in memory that does not grow with them: latents × (examples · 3 +
// bins + 4) numbers of 8 bytes. Sums are float64 chains over tokens in their order, so that chunks of any size give the bits of
// one pass, and where rows come from (threads, batches) does not show.

/** Histogram bins begin at powers of two: 2^−12 … 2^11. One more lies before the first. */
export const latentEdges: readonly number[] = Array.from(
  { length: latentBins.last - latentBins.first + 1 },
  (_, at) => 2 ** (latentBins.first + at),
);
const BINS = latentEdges.length + 1;

/** Where a token stands in a corpus. */
export interface TokenPlace {
  readonly document: number;
  readonly position: number;
}

export interface LatentExample extends TokenPlace {
  readonly value: number;
}

export interface LatentSummary {
  readonly latent: number;
  /** At how many tokens it is active (not 0). */
  readonly count: number;
  readonly frequency: number;
  /** Of the tokens where it is active; null where there are none. */
  readonly mean: number | null;
  readonly deviation: number | null;
  readonly max: number | null;
  readonly examples: readonly LatentExample[];
}

const names = [
  'count',
  'sum',
  'sum_squares',
  'max',
  'histogram',
  'top_values',
  'top_documents',
  'top_positions',
] as const;
type TensorName = (typeof names)[number];

/** All are float64. */
export interface LatentStatisticsTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * Count, sum, sum of squares, largest, histogram and the first examples of each latent: value descending, NaN first, ties in
 * the order of the corpus. A NaN is active, lies in the last bin, is the largest and makes its sums NaN.
 */
export class LatentStatistics {
  readonly latents: number;
  readonly examples: number;
  /** Tokens that were counted. */
  counted = 0;
  readonly #data: { readonly [name in TensorName]: Float64Array };

  constructor(latents: number, examples: number) {
    this.latents = latents;
    this.examples = examples;
    const of = (width: number): Float64Array => new Float64Array(latents * width);
    this.#data = {
      count: of(1),
      sum: of(1),
      sum_squares: of(1),
      max: of(1).fill(Number.NEGATIVE_INFINITY),
      histogram: of(BINS),
      top_values: of(examples),
      top_documents: of(examples).fill(-1),
      top_positions: of(examples).fill(-1),
    };
  }

  /**
   * Counts rows of active latents, in the order of the corpus.
   * @param places where each row stands; null where it is not counted (padding)
   */
  add(
    { rowStart, latents, values }: Pick<LatentRows, 'rowStart' | 'latents' | 'values'>,
    places: readonly (TokenPlace | null)[],
  ): void {
    places.forEach((place, row) => {
      if (!place) return;
      this.counted++;
      const end = rowStart[row + 1] ?? 0;
      for (let at = rowStart[row] ?? 0; at < end; at++) this.#addOne(latents[at] ?? 0, values[at] ?? 0, place);
    });
  }

  /** Sums and sums of squares so far, [latents, 2]: where a batch that is counted elsewhere goes on. */
  get sums(): Float64Array {
    const { sum, sum_squares: squares } = this.#data;
    return Float64Array.from({ length: 2 * this.latents }, (_, at) => (at % 2 === 0 ? sum : squares)[at >> 1] ?? 0);
  }

  /**
   * Takes in a batch that the kernel `latent_statistics` has counted, going on from `sums`. The same bits as `add`.
   * @param places where the tokens of the batch stand; null for those that it did not count
   */
  addCounted(
    batch: {
      readonly sums: Float64Array;
      readonly counts: Int32Array;
      readonly values: Floats;
      readonly rows: Int32Array;
    },
    places: readonly (TokenPlace | null)[],
  ): void {
    const { count, sum, sum_squares: squares, max, histogram } = this.#data;
    this.counted += places.reduce((total, place) => total + (place ? 1 : 0), 0);
    const [width, examples] = [BINS + 1, batch.rows.length / this.latents];
    for (let latent = 0; latent < this.latents; latent++) {
      const times = batch.counts[latent * width] ?? 0;
      if (times === 0) continue;
      count[latent]! += times;
      [sum[latent], squares[latent]] = [batch.sums[2 * latent]!, batch.sums[2 * latent + 1]!];
      for (let bin = 0; bin < BINS; bin++) histogram[latent * BINS + bin]! += batch.counts[latent * width + 1 + bin]!;
      for (let at = latent * examples; at < (latent + 1) * examples; at++) {
        const place = places[batch.rows[at] ?? -1];
        if (!place) break;
        const value = batch.values[at]!;
        if (at === latent * examples && comesBefore(value, max[latent]!)) max[latent] = value;
        this.#offer(latent, value, place);
      }
    }
  }

  #addOne(latent: number, value: number, place: TokenPlace): void {
    const { count, sum, sum_squares: squares, max, histogram } = this.#data;
    count[latent]! += 1;
    sum[latent]! += value;
    squares[latent]! += value * value;
    if (comesBefore(value, max[latent]!)) max[latent] = value;
    histogram[latent * BINS + latentBin(value)]! += 1;
    this.#offer(latent, value, place);
  }

  #offer(latent: number, value: number, { document, position }: TokenPlace): void {
    const { top_values: values, top_documents: documents, top_positions: positions } = this.#data;
    const [start, end] = [latent * this.examples, (latent + 1) * this.examples];
    let at = end;
    // From the end: most come after all that are kept, and of equals the earlier stays before.
    while (at > start && (documents[at - 1] === -1 || comesBefore(value, values[at - 1]!))) at--;
    if (at === end) return;
    for (const list of [values, documents, positions]) list.copyWithin(at + 1, at, end - 1);
    [values[at], documents[at], positions[at]] = [value, document, position];
  }

  /**
   * Takes in the statistics of the stretch of the corpus behind this one. Counts, histograms, largest and examples are those of
   * one pass to the bit; sums are added once more, within a rounding of float64 of one pass.
   */
  merge(later: LatentStatistics): void {
    if (later.latents !== this.latents || later.examples !== this.examples) {
      throw new CircuitscopeError(
        'bad_statistics',
        'Statistics of other latents, or with other examples, cannot be added.',
        {
          expected: `${this.latents} latents, ${this.examples} examples`,
          got: `${later.latents} latents, ${later.examples} examples`,
        },
      );
    }
    this.counted += later.counted;
    for (const name of ['count', 'sum', 'sum_squares', 'histogram'] as const) {
      const [own, other] = [this.#data[name], later.#data[name]];
      for (let at = 0; at < own.length; at++) own[at]! += other[at]!;
    }
    const { max } = this.#data;
    for (let latent = 0; latent < this.latents; latent++) {
      if (comesBefore(later.#data.max[latent]!, max[latent]!)) max[latent] = later.#data.max[latent]!;
      for (const { value, ...place } of later.#examplesOf(latent)) this.#offer(latent, value, place);
    }
  }

  #examplesOf(latent: number): LatentExample[] {
    const { top_values: values, top_documents: documents, top_positions: positions } = this.#data;
    const places = Array.from({ length: this.examples }, (_, at) => latent * this.examples + at);
    return places
      .filter((at) => documents[at] !== -1)
      .map((at) => ({ value: values[at]!, document: documents[at]!, position: positions[at]! }));
  }

  /** What is known of one latent. */
  summary(latent: number): LatentSummary {
    const { count, sum, sum_squares: squares, max } = this.#data;
    const times = count[latent] ?? 0;
    const mean = times === 0 ? null : sum[latent]! / times;
    return {
      latent,
      count: times,
      frequency: this.counted === 0 ? 0 : times / this.counted,
      mean,
      deviation: mean === null ? null : Math.sqrt(Math.max(squares[latent]! / times - mean * mean, 0)),
      max: times === 0 ? null : max[latent]!,
      examples: this.#examplesOf(latent),
    };
  }

  /** How many tokens each latent is active at. */
  get counts(): Float64Array {
    return this.#data.count;
  }

  /** How often each latent lies in each bin, [latents, edges + 1]. */
  get histogram(): Float64Array {
    return this.#data.histogram;
  }

  tensors(): LatentStatisticsTensor[] {
    return names.map((name) => ({ name, shape: this.#shape(name), data: this.#data[name] }));
  }

  #shape(name: TensorName): number[] {
    if (name === 'histogram') return [this.latents, BINS];
    return name.startsWith('top_') ? [this.latents, this.examples] : [this.latents];
  }

  /**
   * Statistics that were kept.
   * @param read a tensor by its name and shape
   */
  static restore(
    latents: number,
    examples: number,
    counted: number,
    read: (name: string, shape: readonly number[]) => Float64Array,
  ): LatentStatistics {
    const statistics = new LatentStatistics(latents, examples);
    statistics.counted = counted;
    for (const name of names) statistics.#data[name].set(read(name, statistics.#shape(name)));
    return statistics;
  }
}
