// Which number of threads is looked at, which operation is chosen and which point is pointed at. Threads and operation may be
// given from outside; the view follows them, and otherwise keeps its own.

import { layoutRoofline, type PlacedPoint } from './layout-roofline.ts';
import { type BenchRecord, rooflineOf, threadsOf } from './roofline.ts';

/** How far from a point the pointer still means it. */
const REACH = 26;

export class BenchRooflineState {
  readonly #record: () => BenchRecord;
  #threads: number | undefined = $state();
  operation: string | undefined = $state();
  width = $state(860);
  #at: number | null = $state(null);

  readonly known = $derived.by(() => threadsOf(this.#record()));
  readonly threads = $derived.by(() =>
    this.#threads !== undefined && this.known.includes(this.#threads) ? this.#threads : this.known.at(-1),
  );
  readonly roofline = $derived.by(() => rooflineOf(this.#record(), this.threads));
  readonly layout = $derived.by(() => {
    const width = Math.max(280, Math.round(this.width));
    const height = Math.round(Math.min(560, Math.max(330, width * 0.58)));
    const operation = this.roofline.points.some((point) => point.operation === this.operation)
      ? this.operation
      : undefined;
    return layoutRoofline(this.roofline, { width, height, operation });
  });
  /** As they are walked by keys: by operations a byte, then by speed. */
  readonly #order = $derived.by(() =>
    this.layout.points.map((_, at) => at).sort((a, b) => this.#x(a) - this.#x(b) || this.#y(b) - this.#y(a)),
  );
  readonly pointed: PlacedPoint | null = $derived.by(() =>
    this.#at === null ? null : (this.layout.points[this.#at] ?? null),
  );

  constructor(record: () => BenchRecord) {
    this.#record = record;
  }

  #x(at: number): number {
    return this.layout.points[at]?.x ?? 0;
  }

  #y(at: number): number {
    return this.layout.points[at]?.y ?? 0;
  }

  chooseThreads(threads: number): void {
    this.#threads = threads;
    this.#at = null;
  }

  /** Chooses an operation, or lets the chosen one go. */
  choose(operation: string | undefined): void {
    this.operation = operation;
  }

  /** The point nearest to a place in the picture; null leaves it. */
  point(place: { readonly x: number; readonly y: number } | null): void {
    if (!place) {
      this.#at = null;
      return;
    }
    let [best, least] = [null as number | null, REACH];
    for (const [at, { x, y }] of this.layout.points.entries()) {
      const distance = Math.hypot(x - place.x, y - place.y);
      if (distance < least) [best, least] = [at, distance];
    }
    this.#at = best;
  }

  /** To the next point; the first step enters at the fastest of the leftmost. */
  step(by: 1 | -1): void {
    const order = this.#order;
    if (order.length === 0) return;
    const here = this.#at === null ? -1 : order.indexOf(this.#at);
    const next = here < 0 ? (by > 0 ? 0 : order.length - 1) : Math.min(order.length - 1, Math.max(0, here + by));
    this.#at = order[next] ?? null;
  }
}
