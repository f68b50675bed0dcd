// Which head is looked at, and which cell. The cursor is where pointer or keys are; a pin holds a cell while the pointer
// moves on. `reads` turns the running text round: what a query looks at, or who looks at a key.

import { type AttentionHead, isCausal, readPattern } from './pattern.ts';

export interface PatternCell {
  readonly query: number;
  readonly key: number;
}

export class AttentionPatternState {
  readonly #tokens: () => readonly string[];
  readonly #heads: () => readonly AttentionHead[];
  #head = $state(0);
  #cursor: PatternCell | null = $state.raw(null);
  pin: PatternCell | null = $state.raw(null);
  reads: 'query' | 'key' = $state('query');

  readonly tokens = $derived.by(() => this.#tokens());
  readonly heads = $derived.by(() => this.#heads());
  readonly head = $derived.by(() => Math.min(this.#head, Math.max(0, this.heads.length - 1)));
  readonly label = $derived.by(() => this.heads[this.head]?.label ?? '');
  readonly pattern = $derived.by(() => readPattern(this.heads[this.head]?.values ?? [], this.tokens.length));
  readonly causal = $derived.by(() => isCausal(this.pattern));
  /** The cell that is shown: the cursor, else the pin, inside the square of the tokens at hand. */
  readonly cell: PatternCell | null = $derived.by(() => {
    const cell = this.#cursor ?? this.pin;
    const size = this.tokens.length;
    return cell && cell.query < size && cell.key < size ? cell : null;
  });
  readonly weight = $derived.by(() => (this.cell ? this.pattern.at(this.cell.query, this.cell.key) : undefined));
  /** Weight of every token in the running text: from the cell's query to it, or from it to the cell's key. */
  readonly shades: readonly number[] = $derived.by(() => {
    const { cell } = this;
    if (!cell) return this.tokens.map(() => 0);
    return this.tokens.map((_, i) =>
      this.reads === 'query' ? this.pattern.at(cell.query, i) : this.pattern.at(i, cell.key),
    );
  });

  constructor(tokens: () => readonly string[], heads: () => readonly AttentionHead[], head = 0) {
    this.#tokens = tokens;
    this.#heads = heads;
    this.#head = head;
  }

  chooseHead(head: number): void {
    if (Number.isInteger(head)) this.#head = Math.min(Math.max(0, head), Math.max(0, this.heads.length - 1));
  }

  point(cell: PatternCell | null): void {
    this.#cursor = cell;
  }

  /** Pins the cell, or takes the pin off it. */
  togglePin(cell: PatternCell): void {
    this.pin = this.pin?.query === cell.query && this.pin.key === cell.key ? null : cell;
  }

  /** Moves the cell by keys; the first move enters at the strongest key of the last query. */
  move(queries: number, keys: number): void {
    const size = this.tokens.length;
    if (size === 0) return;
    const { cell } = this;
    const inside = (i: number) => Math.min(size - 1, Math.max(0, i));
    this.#cursor = cell
      ? { query: inside(cell.query + queries), key: inside(cell.key + keys) }
      : { query: size - 1, key: this.strongestKey(size - 1) };
  }

  /** The key that a query looks at most; the first of equals. */
  strongestKey(query: number): number {
    let best = 0;
    for (let key = 1; key < this.tokens.length; key++) {
      if (this.pattern.at(query, key) > this.pattern.at(query, best)) best = key;
    }
    return best;
  }

  /** A token of the running text: becomes the query or the key of the cell, beside its strongest partner. */
  pointToken(token: number): void {
    if (this.reads === 'query') this.#cursor = { query: token, key: this.strongestKey(token) };
    else {
      let best = 0;
      for (let query = 1; query < this.tokens.length; query++) {
        if (this.pattern.at(query, token) > this.pattern.at(best, token)) best = query;
      }
      this.#cursor = { query: best, key: token };
    }
  }

  clear(): void {
    this.#cursor = null;
    this.pin = null;
  }
}
