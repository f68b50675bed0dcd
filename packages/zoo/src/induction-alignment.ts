import type { HeadScores } from '@circuitscope/core';
import { type Alignment, CircuitscopeError } from '@circuitscope/schema';

/** A head is taken for an induction head from this share of attention on. */
const INDUCES = 0.4;

/**
 * Where the variables of the induction program should lie in a learnt model, by what its heads attend to: `previous` in the
 * best previous-token head, `match` in the patterns and `copied` in the outputs of the induction heads of the layer that has
 * the best one. Attention chose it, so exchanging may refute it.
 * @throws CircuitscopeError `no_head` where no head attends so
 */
export function inductionAlignment(scores: readonly HeadScores[]): Alignment {
  const best = (kind: 'previousToken' | 'induction'): HeadScores => {
    const found = [...scores].sort((a, b) => b[kind].value - a[kind].value)[0];
    if (found && found[kind].value >= INDUCES) return found;
    throw new CircuitscopeError(
      'no_head',
      `No head has a score of ${INDUCES} for ${kind}; there is nothing to align to.`,
      {
        expected: `at least ${INDUCES}`,
        got: String(found?.[kind].value ?? 'no head'),
      },
    );
  };
  const previous = best('previousToken');
  const { layer } = best('induction');
  const head = scores.filter((one) => one.layer === layer && one.induction.value >= INDUCES).map((one) => one.head);
  return {
    tokens: { site: 'hook_embed' },
    previous: { site: `blocks.${previous.layer}.attn.hook_z`, head: [previous.head] },
    match: { site: `blocks.${layer}.attn.hook_pattern`, head },
    copied: { site: `blocks.${layer}.attn.hook_z`, head },
  };
}
