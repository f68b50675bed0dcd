// The live bench of one circuit page: what is cut, how, and what the model then did. A change of the cut set is one step
// that can be undone; results are kept, so going back asks nothing of the server again.

import type { Effect, LiveAblation, Target } from '../live/effect.ts';
import { sameTarget } from '../live/effect.ts';

export interface CutSet {
  /** In the order in which they were cut. */
  readonly cuts: readonly Target[];
  readonly ablation: LiveAblation;
}

/** Measures a cut set; rejects with a sentence for the page. */
export type Measure = (set: CutSet, signal: AbortSignal) => Promise<Effect>;

/** How the metric moved when one more thing was cut, in the order of cutting. */
export interface Move {
  readonly target: Target;
  readonly before: number;
  readonly after: number;
  readonly metric: string;
  readonly ablation: LiveAblation;
}

export class Bench {
  readonly #measure: Measure;
  #steps: readonly CutSet[] = $state.raw([]);
  #at = $state(0);
  /** By cut set; never forgotten while the page lives. */
  #results: ReadonlyMap<string, Effect> = $state.raw(new Map());
  /** The cut set that the server works on. */
  #pending: string | null = $state.raw(null);
  #problem: { readonly key: string; readonly message: string } | null = $state.raw(null);
  #running: AbortController | null = null;

  constructor(measure: Measure, start: CutSet) {
    this.#measure = measure;
    this.#steps = [start];
  }

  get set(): CutSet {
    return this.#steps[this.#at]!;
  }

  get cuts(): readonly Target[] {
    return this.set.cuts;
  }

  get ablation(): LiveAblation {
    return this.set.ablation;
  }

  /** What cutting the whole set did; null while nothing is cut or the answer is not there yet. */
  readonly result: Effect | null = $derived(this.#results.get(keyOf(this.set)) ?? null);

  /** How each cut moved the metric after those before it; as far as measured. */
  readonly moves: readonly Move[] = $derived.by(() => {
    const { cuts, ablation } = this.set;
    const moves: Move[] = [];
    let reached: number | undefined;
    cuts.forEach((target, index) => {
      const effect = this.#results.get(keyOf({ cuts: cuts.slice(0, index + 1), ablation }));
      const before = index === 0 ? effect?.before : reached;
      if (effect && before !== undefined)
        moves.push({ target, before, after: effect.after, metric: effect.metric, ablation });
      reached = effect?.after;
    });
    return moves;
  });

  get isMeasuring(): boolean {
    return this.#pending !== null && this.#pending === keyOf(this.set);
  }

  get problem(): string | null {
    return this.#problem?.key === keyOf(this.set) ? this.#problem.message : null;
  }

  get canUndo(): boolean {
    return this.#at > 0;
  }

  get canRedo(): boolean {
    return this.#at < this.#steps.length - 1;
  }

  isCut(target: Target): boolean {
    return this.cuts.some((cut) => sameTarget(cut, target));
  }

  /** Cuts a target, or puts it back. */
  toggle(target: Target): void {
    const { cuts, ablation } = this.set;
    this.#step({
      cuts: this.isCut(target) ? cuts.filter((cut) => !sameTarget(cut, target)) : [...cuts, target],
      ablation,
    });
  }

  setAblation(ablation: LiveAblation): void {
    if (ablation !== this.ablation) this.#step({ ...this.set, ablation });
  }

  clear(): void {
    if (this.cuts.length > 0) this.#step({ ...this.set, cuts: [] });
  }

  undo(): void {
    if (this.canUndo) this.#go(this.#at - 1);
  }

  redo(): void {
    if (this.canRedo) this.#go(this.#at + 1);
  }

  /** Measures what is not known yet: the whole set first, for that is the question, then what led to it. */
  async settle(): Promise<void> {
    this.stop();
    const { cuts, ablation } = this.set;
    const running = new AbortController();
    this.#running = running;
    for (let length = cuts.length; length > 0; length--) {
      const part: CutSet = { cuts: cuts.slice(0, length), ablation };
      const key = keyOf(part);
      if (this.#results.has(key)) continue;
      this.#pending = key;
      this.#problem = null;
      try {
        const effect = await this.#measure(part, running.signal);
        if (running.signal.aborted) return;
        this.#results = new Map(this.#results).set(key, effect);
      } catch (error) {
        if (running.signal.aborted) return;
        this.#problem = { key, message: error instanceof Error ? error.message : String(error) };
        break;
      }
    }
    this.#pending = null;
  }

  /** Drops the question that is under way; the server stops computing it. */
  stop(): void {
    this.#running?.abort();
    this.#running = null;
    this.#pending = null;
  }

  #step(set: CutSet): void {
    this.#steps = [...this.#steps.slice(0, this.#at + 1), set];
    this.#go(this.#steps.length - 1);
  }

  #go(at: number): void {
    this.#at = at;
    void this.settle();
  }
}

/** One key for one set, whatever order it was cut in. */
function keyOf({ cuts, ablation }: CutSet): string {
  return JSON.stringify([ablation, ...cuts.map(({ kind, id }) => `${kind}:${id}`).sort()]);
}
