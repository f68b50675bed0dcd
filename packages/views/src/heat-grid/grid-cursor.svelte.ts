// Which cell of a grid is looked at. The cursor is where pointer or keys are; a pin holds a cell while the pointer moves on.

export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

export class GridCursor {
  readonly #rows: () => number;
  readonly #columns: () => number;
  #cursor: GridPlace | null = $state.raw(null);
  #pin: GridPlace | null = $state.raw(null);

  readonly rows = $derived.by(() => this.#rows());
  readonly columns = $derived.by(() => this.#columns());
  /** The pinned cell, inside the grid at hand. */
  readonly pin: GridPlace | null = $derived.by(() => this.#inside(this.#pin));
  /** What is shown: the cursor, else the pin. */
  readonly place: GridPlace | null = $derived.by(() => this.#inside(this.#cursor) ?? this.pin);

  constructor(rows: () => number, columns: () => number) {
    this.#rows = rows;
    this.#columns = columns;
  }

  point(place: GridPlace | null): void {
    this.#cursor = place;
  }

  /** Pins the cell, or takes the pin off it. */
  togglePin(place: GridPlace): void {
    this.#pin = this.#pin?.row === place.row && this.#pin.column === place.column ? null : place;
  }

  /** Moves by keys; the first move enters at the last row and column. */
  move(rows: number, columns: number): void {
    if (this.rows === 0 || this.columns === 0) return;
    const { place } = this;
    const within = (at: number, count: number) => Math.min(count - 1, Math.max(0, at));
    this.#cursor = {
      row: within(place ? place.row + rows : this.rows - 1, this.rows),
      column: within(place ? place.column + columns : this.columns - 1, this.columns),
    };
  }

  clear(): void {
    this.#cursor = null;
    this.#pin = null;
  }

  #inside(place: GridPlace | null): GridPlace | null {
    return place && place.row < this.rows && place.column < this.columns ? place : null;
  }
}
