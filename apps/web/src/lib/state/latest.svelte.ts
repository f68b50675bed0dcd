// One question at a time, the last one asked: a new one aborts that before it, and a late answer is dropped.

export class Latest<T> {
  /** The last answer; it stays while the next is computed. */
  answer: T | null = $state.raw(null);
  problem: string | null = $state(null);
  asking = $state(false);
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param wait milliseconds in which another question may replace this one before anything is asked */
  ask(work: (signal: AbortSignal) => Promise<T>, wait = 0): void {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.asking = true;
    this.#timer = setTimeout(() => {
      work(abort.signal).then(
        (answer) => {
          if (abort.signal.aborted) return;
          this.answer = answer;
          this.problem = null;
          this.asking = false;
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          this.problem = error instanceof Error ? error.message : String(error);
          this.asking = false;
        },
      );
    }, wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    this.asking = false;
  }
}
