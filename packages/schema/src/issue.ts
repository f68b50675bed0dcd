/** One thing that is wrong with a record, and where: `edges[3].from`. The record itself is the empty path. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** As many issues as a person reads; a hostile file could hold millions. */
export const MAX_ISSUES = 100;
