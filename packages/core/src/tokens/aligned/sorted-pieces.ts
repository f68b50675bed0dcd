/**
 * Pieces in the order of their UTF-16 units, in which those that a text goes on with are found by halving: a trie's answers
 * in a list's memory.
 */
export class SortedPieces {
  readonly #pieces: readonly string[];
  readonly #firsts = new Map<number, readonly [number, number]>();

  constructor(pieces: Iterable<string>) {
    // Without a comparison of our own, which is slower, texts are sorted by their units.
    this.#pieces = [...new Set(pieces)].filter((piece) => piece !== '').sort();
    for (let from = 0; from < this.#pieces.length; ) {
      const unit = this.#unit(from, 0);
      let to = from + 1;
      while (to < this.#pieces.length && this.#unit(to, 0) === unit) to++;
      this.#firsts.set(unit, [from, to]);
      from = to;
    }
  }

  /** Lengths of the pieces that stand in a text at a place, ascending. */
  lengthsAt(text: string, at: number): number[] {
    const lengths: number[] = [];
    let [low, high] = this.#firsts.get(text.charCodeAt(at)) ?? [0, 0];
    for (let depth = 1; low < high; depth++) {
      if (this.#pieces[low]?.length === depth) {
        lengths.push(depth);
        low++;
      }
      if (at + depth >= text.length) break;
      const unit = text.charCodeAt(at + depth);
      low = this.#first(low, high, depth, unit);
      high = this.#first(low, high, depth, unit + 1);
    }
    return lengths;
  }

  /** The first of a range whose unit at `depth` is at least `unit`. */
  #first(low: number, high: number, depth: number, unit: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#unit(middle, depth) < unit) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #unit(place: number, depth: number): number {
    return this.#pieces[place]?.charCodeAt(depth) ?? -1;
  }
}
