// What <bench-roofline> and <bench-table> share: a run with its results, an operation and a number of threads that a page may
// set, and the event `bench-operation`.

import type { BenchRecord } from '../bench-roofline/roofline.ts';
import { readBenchRecord } from './bench-record.ts';
import { type Reading, ViewElement } from './view-element.ts';

export abstract class BenchElement extends ViewElement {
  protected readonly dataName = 'bench';
  protected readonly properties: readonly string[] = ['bench', 'threads', 'operation'];
  #bench: BenchRecord | undefined = $state.raw();
  #threads: number | undefined = $state.raw();
  #operation: string | null | undefined = $state.raw();

  get bench(): BenchRecord | undefined {
    return this.#bench;
  }

  /** A run with its results, as `circuitscope bench kernels --json` prints it. */
  set bench(value: unknown) {
    this.setData(value);
  }

  get threads(): number | undefined {
    return this.#threads;
  }

  set threads(threads: number | undefined) {
    this.#threads = threads;
  }

  get operation(): string | null | undefined {
    return this.#operation;
  }

  set operation(operation: string | null | undefined) {
    this.#operation = operation;
  }

  protected read(value: unknown): Reading {
    const read = readBenchRecord(value);
    if (!read.ok) return read;
    this.#bench = read.value;
    return { ok: true };
  }

  /** Getters keep the props live: setting a property of the element redraws without a new component. */
  protected liveProps() {
    const element = this;
    return {
      get record() {
        return element.#bench!;
      },
      get threads() {
        return element.#threads;
      },
      get operation() {
        return element.#operation;
      },
      onoperation: (operation: string | null): void => {
        this.tell('bench-operation', operation);
      },
    };
  }
}
