import { CircuitscopeError, type Hash } from '@circuitscope/schema';
import type { Floats } from '../tensor/index.ts';
import type { Run } from './run.ts';
import type { Engine } from './run-plan.ts';

/** What a cache holds depends on all of this; with anything else it would continue another model's text. */
export interface CacheOrigin {
  /** Of the graph, the changes, the artefacts that they name, and where the prompt ends. */
  readonly plan: Hash;
  readonly weights: Engine['weights'];
  /** Versions of weights that change, in order. */
  readonly versions: readonly number[];
  readonly executor: Engine['executor'];
  /** What the encoder of an encoder-decoder reads, with its mask. */
  readonly source: string;
  /** Runs that values are taken from. */
  readonly runs: readonly Run[];
}

/** Keys and values of the positions so far. Never changes: extending one gives another. */
export interface KeyValueCache {
  readonly origin: CacheOrigin;
  /** The text so far [batch][pos], with its padding. */
  readonly tokens: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
  /** By name of the program's input, [batch, pos, heads, width]. */
  readonly state: ReadonlyMap<string, GrowingRows>;
  /** What the decoder reads of its encoder; none in models of one stack. */
  readonly encoded: readonly Floats[];
}

/** Rows [batch][length of entries], behind one another in one buffer that may be longer. */
export interface GrowingRows {
  readonly buffer: { readonly data: Floats; used: number };
  readonly entries: number;
}

export function entriesOf({ buffer, entries }: GrowingRows): Floats {
  return buffer.data.subarray(0, entries);
}

/**
 * What each row of the batch has got, behind what it had. One text grows in place while there is room, unless another
 * continuation has already grown there; several are laid out anew.
 */
export function appendRows(before: GrowingRows | undefined, added: Floats, batch: number): GrowingRows {
  const had = before?.entries ?? 0;
  const entries = had + added.length;
  if (batch === 1 && before && before.buffer.used === had && entries <= before.buffer.data.length) {
    before.buffer.data.set(added, had);
    before.buffer.used = entries;
    return { buffer: before.buffer, entries };
  }
  const length = batch === 1 ? Math.max(2 * entries, 1024) : entries;
  const data = added instanceof Float64Array ? new Float64Array(length) : new Float32Array(length);
  const [old, fresh] = [had / batch, added.length / batch];
  for (let row = 0; row < batch; row++) {
    if (before) data.set(entriesOf(before).subarray(row * old, (row + 1) * old), row * (old + fresh));
    data.set(added.subarray(row * fresh, (row + 1) * fresh), row * (old + fresh) + old);
  }
  return { buffer: { data, used: entries }, entries };
}

/** @throws CircuitscopeError `wrong_cache` where one was made by anything else */
export function requireOrigin(cache: KeyValueCache, want: CacheOrigin): void {
  const got = cache.origin;
  const differs: readonly (readonly [what: string, same: boolean])[] = [
    ['another plan', got.plan === want.plan],
    ['another model', got.weights === want.weights],
    ['weights that have changed since', got.versions.join() === want.versions.join()],
    ['another text of the encoder', got.source === want.source],
    ['another executor', got.executor === want.executor],
    ['other runs to take values from', sameList(got.runs, want.runs)],
  ];
  const wrong = differs.find(([, same]) => !same);
  if (!wrong) return;
  throw new CircuitscopeError(
    'wrong_cache',
    `These keys and values were made with ${wrong[0]}; continue with what made them, or begin anew.`,
    { got: wrong[0] },
  );
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
