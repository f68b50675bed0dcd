import { type Comparison, type Hash, parseComparison } from '@circuitscope/schema';
import { listRecords } from './workspace.ts';

export interface KeptComparison {
  readonly hash: Hash;
  readonly comparison: Comparison;
  /** ISO 8601; null where that was not recorded. */
  readonly madeAt: string | null;
}

export interface ComparisonList {
  readonly comparisons: readonly KeptComparison[];
  readonly unreadable: number;
  readonly folder: string;
}

/** All comparisons of models, the last made first. */
export async function listComparisons(): Promise<ComparisonList> {
  const { records, unreadable, folder } = listRecords('comparison', parseComparison);
  return {
    comparisons: records.map(({ hash, record, madeAt }) => ({ hash, comparison: record, madeAt })),
    unreadable,
    folder,
  };
}
