/** Folders of a workspace. */
export const folders = {
  /** Immutable results, by content. */
  artefacts: 'artefacts',
  /** Which result answers which question, by action key. */
  actions: 'actions',
  /** Empty files that keep an artefact which no action made, by its hash. */
  kept: 'kept',
  /** When, where and how fast: run records, by content. */
  runs: 'runs',
  /** What was locked and what came of it, in order: entries by number, never changed. */
  ledger: 'ledger',
} as const;

export type Folder = keyof typeof folders;
