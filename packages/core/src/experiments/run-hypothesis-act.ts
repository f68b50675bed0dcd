import type { HypothesisOutcome } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Engine } from '../plan/index.ts';
import { type Ledger, type LockedHypothesis, lockHypothesis, recordOutcome } from './hypothesis-ledger.ts';
import { inductionRanges } from './induction-estimates.ts';
import { type InductionHypothesesOptions, inductionHypotheses } from './induction-hypotheses.ts';
import { testHypothesis } from './test-hypothesis.ts';

export interface HypothesisActOptions extends InductionHypothesesOptions {
  /** The caller's clock, ISO 8601 in UTC; it enters the lock and so the confirmation data. */
  readonly at: string;
  /** Entries that stand before these; none if left out. */
  readonly ledger?: Ledger;
  /** Called as soon as both are locked and before anything is measured: the time to store them. */
  readonly onLocked?: (locked: readonly LockedHypothesis[]) => void;
}

export interface HypothesisAct {
  readonly claim: { readonly locked: LockedHypothesis; readonly outcome: HypothesisOutcome };
  readonly rival: { readonly locked: LockedHypothesis; readonly outcome: HypothesisOutcome };
  /** With both locks and both outcomes. */
  readonly ledger: Ledger;
}

/**
 * The method in one act: explore, write down claim and rival, lock both, draw data that follow from the locks, measure, and
 * let the locked rule decide about each.
 */
export async function runHypothesisAct(
  engine: Engine,
  model: Model,
  options: HypothesisActOptions,
): Promise<HypothesisAct> {
  const { at, ledger: before = [], onLocked, run = {} } = options;
  const { onProgress, ...quiet } = run;
  const { claim, rival } = await inductionHypotheses(engine, model, { ...options, run: quiet });
  const lock = { at, ranges: inductionRanges };
  const lockedClaim = lockHypothesis(claim, { ...lock, ledger: before });
  const lockedRival = lockHypothesis(rival, { ...lock, ledger: lockedClaim.ledger });
  onLocked?.([lockedClaim, lockedRival]);
  onProgress?.(0.3);
  const [ofClaim, ofRival] = [
    await testHypothesis(lockedClaim, engine, model, quiet),
    await testHypothesis(lockedRival, engine, model, quiet),
  ];
  onProgress?.(1);
  const ledger = recordOutcome(recordOutcome(lockedRival.ledger, ofClaim, at), ofRival, at);
  return {
    claim: { locked: lockedClaim, outcome: ofClaim },
    rival: { locked: lockedRival, outcome: ofRival },
    ledger,
  };
}
