// Undo as a list of whole views: a view is a few fields, so copies are cheaper than inverse operations and cannot drift.

export interface History<View> {
  readonly past: readonly View[];
  readonly now: View;
  readonly future: readonly View[];
  /** Changes with the same tag in a row count as one step (a drag of a slider); undefined never merges. */
  readonly tag?: string;
}

const STEPS_KEPT = 200;

export function startHistory<View>(now: View): History<View> {
  return { past: [], now, future: [] };
}

export function change<View>(history: History<View>, now: View, tag?: string): History<View> {
  const merges = tag !== undefined && tag === history.tag;
  const past = merges ? history.past : [...history.past, history.now].slice(-STEPS_KEPT);
  return { past, now, future: [], ...(tag === undefined ? {} : { tag }) };
}

/** Ends a run of merging changes. */
export function settle<View>({ past, now, future }: History<View>): History<View> {
  return { past, now, future };
}

export function undo<View>(history: History<View>): History<View> {
  const now = history.past.at(-1);
  if (now === undefined) return settle(history);
  return { past: history.past.slice(0, -1), now, future: [history.now, ...history.future] };
}

export function redo<View>(history: History<View>): History<View> {
  const [now, ...future] = history.future;
  if (now === undefined) return settle(history);
  return { past: [...history.past, history.now], now, future };
}
