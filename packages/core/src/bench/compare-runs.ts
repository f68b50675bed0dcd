import type { BenchResult, BenchSection } from '@circuitscope/schema';

type Timed = Extract<BenchResult['outcome'], { kind: 'timed' }>;

/** One operation by one implementation in two runs. Shares are of what each machine can do. */
export interface ComparedRow {
  readonly operation: string;
  readonly shape: string;
  readonly dtype: string;
  readonly implementation: string;
  readonly threads: number;
  readonly regime: 'hot' | 'cold';
  /** Of the loop in the same rounds where there is one, else of the peak or the bandwidth measured before. */
  readonly shares: { readonly of: 'loop' | 'peak' | 'bandwidth'; readonly a: number; readonly b: number } | null;
  /** Time of the reference over the time of this one, in each run's own rounds. */
  readonly ratios: { readonly to: string; readonly a: number; readonly b: number } | null;
  /** Only where both ran on machines of one fingerprint. */
  readonly times: { readonly aNs: number; readonly bNs: number; readonly speedup: number } | null;
}

export interface ComparedRuns {
  readonly sameMachine: boolean;
  readonly rows: readonly ComparedRow[];
  /** Measured right in one of the two alone. */
  readonly onlyA: readonly string[];
  readonly onlyB: readonly string[];
}

const keyOf = ({ operation, threads, regime, implementation, shape, dtype }: BenchResult): string =>
  [operation, shape, dtype, threads, regime, implementation.name].join(' / ');

interface Entry {
  readonly result: BenchResult;
  readonly timed: Timed;
  readonly fingerprint: string;
}

/** Later results of one key replace earlier ones. */
function timedResults(sections: readonly BenchSection[]): ReadonlyMap<string, Entry> {
  const found = new Map<string, Entry>();
  for (const { run, results } of sections) {
    for (const result of results) {
      if (result.outcome.kind === 'timed')
        found.set(keyOf(result), { result, timed: result.outcome, fingerprint: run.machine.fingerprint });
    }
  }
  return found;
}

/**
 * Two runs beside each other. Machines differ in clock, width and memory, so what is compared is the share of what each
 * could do, and the ratio to a reference of the same interleave; times only where the fingerprints are equal.
 * @param reference an implementation that both hold; left out: the first that stands beside a result in both
 */
export function compareRuns(a: readonly BenchSection[], b: readonly BenchSection[], reference?: string): ComparedRuns {
  const [left, right] = [timedResults(a), timedResults(b)];
  const rows: ComparedRow[] = [];
  for (const [key, one] of left) {
    const two = right.get(key);
    if (!two) continue;
    const { operation, shape, dtype, threads, regime, implementation } = one.result;
    rows.push({
      operation,
      shape,
      dtype,
      implementation: implementation.name,
      threads,
      regime,
      shares: sharesOf(one.timed, two.timed),
      ratios: ratiosOf(one.timed, two.timed, reference),
      times:
        one.fingerprint === two.fingerprint
          ? { aNs: one.timed.medianNs, bNs: two.timed.medianNs, speedup: one.timed.medianNs / two.timed.medianNs }
          : null,
    });
  }
  return {
    sameMachine: rows.length > 0 && rows.every(({ times }) => times !== null),
    rows,
    onlyA: [...left.keys()].filter((key) => !right.has(key)),
    onlyB: [...right.keys()].filter((key) => !left.has(key)),
  };
}

function sharesOf(a: Timed, b: Timed): ComparedRow['shares'] {
  if (a.shareOfLoop && b.shareOfLoop) return { of: 'loop', a: a.shareOfLoop.value, b: b.shareOfLoop.value };
  if (a.shareOfPeak !== undefined && b.shareOfPeak !== undefined)
    return { of: 'peak', a: a.shareOfPeak, b: b.shareOfPeak };
  if (a.shareOfBandwidth !== undefined && b.shareOfBandwidth !== undefined)
    return { of: 'bandwidth', a: a.shareOfBandwidth, b: b.shareOfBandwidth };
  return null;
}

function ratiosOf(a: Timed, b: Timed, reference: string | undefined): ComparedRow['ratios'] {
  for (const { against, estimate } of a.ratios) {
    if (reference !== undefined && against !== reference) continue;
    const other = b.ratios.find((ratio) => ratio.against === against);
    if (other) return { to: against, a: estimate.value, b: other.estimate.value };
  }
  return null;
}
