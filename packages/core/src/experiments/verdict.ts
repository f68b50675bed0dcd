import type { Report } from '@circuitscope/schema';
import type { Proof } from '../circuits/index.ts';

const LEVEL = 0.05;

/** What a circuit must show on held-back data; written down here, before any run. */
const rule =
  `The circuit holds if the whole model does the task (the interval of its range excludes 0), if fewer than ${100 * LEVEL} % of ` +
  'size-matched random circuits are as faithful (p with the +1), and if its faithfulness, interval included, lies above the middle 95 % of theirs.';

/** The verdict by the rule, with every reason that speaks against the circuit; it holds if there is none. */
export function verdictOf(proof: Proof): Report['verdict'] {
  const { measurable, whole, empty, metric, faithfulness } = proof;
  const { value, interval, random } = faithfulness;
  const reasons: string[] = [];
  if (!measurable) {
    reasons.push(
      `the model does not do this task: ${metric} ${whole.toFixed(2)} whole and ${empty.toFixed(2)} with every edge cut, a difference that may be 0`,
    );
  }
  if (!(random.p < LEVEL)) reasons.push(`random circuits of its size do as well: p ${random.p.toFixed(3)}`);
  const low = interval ? interval[0] : value;
  if (!(low > random.interval[1])) {
    reasons.push(
      `its faithfulness reaches down to ${low.toFixed(2)}, random circuits up to ${random.interval[1].toFixed(2)}`,
    );
  }
  return { holds: reasons.length === 0, rule, reasons };
}
