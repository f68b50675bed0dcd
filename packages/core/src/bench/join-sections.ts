import {
  type BenchEnd,
  type BenchResult,
  type BenchRun,
  type BenchSection,
  CircuitscopeError,
} from '@circuitscope/schema';
import { resultKey } from './run-benchmarks.ts';

/** A file as one run: what was measured on the machine of its last section. */
export interface JoinedRun {
  /** The last head, with the machine of whichever of its kind was measured most fully. */
  readonly run: BenchRun;
  /** One for each operation, threads, caches and implementation: the last. In the order in which they first came. */
  readonly results: readonly BenchResult[];
  readonly end?: BenchEnd;
}

const measured = ({ machine }: BenchRun): number => machine.peaks.length + machine.bandwidths.length;

/** A run that was cut off begins anew in its file; joined it is whole again. @throws CircuitscopeError `no_run` for no section */
export function joinSections(sections: readonly BenchSection[]): JoinedRun {
  const last = sections.at(-1);
  if (!last)
    throw new CircuitscopeError('no_run', 'There is no run to join.', { expected: 'at least one', got: 'none' });
  const same = sections.filter(({ run }) => run.machine.fingerprint === last.run.machine.fingerprint);
  const fullest = same.reduce((best, section) => (measured(section.run) >= measured(best.run) ? section : best));
  const results = new Map<string, BenchResult>();
  for (const result of same.flatMap((section) => section.results))
    results.set(resultKey({ ...result, name: result.implementation.name }), result);
  return {
    run: { ...last.run, machine: fullest.run.machine },
    results: [...results.values()],
    ...(last.end ? { end: last.end } : {}),
  };
}
