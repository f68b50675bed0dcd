// Two features of importance 1 and r through one hidden dimension, each active with probability p and then uniform in
// [0, 1): what the two plain solutions cost (Elhage et al. 2022, with the algebra done for this distribution).

/** The first feature has the dimension to itself; the second is its mean, so its variance p/3 − p²/4 is what is lost. */
export function dedicatedLoss(ratio: number, probability: number): number {
  return ratio * (probability / 3 - probability ** 2 / 4);
}

/** The two in opposite directions, no bias: only both at once cost something, the smaller one wholly: E = p²/6 for each. */
export function antipodalLoss(ratio: number, probability: number): number {
  return ((1 + ratio) * probability ** 2) / 6;
}

/** p* = 4r/(5r + 2), where the two cost the same: below it features share the dimension. */
export function crossover(ratio: number): number {
  return (4 * ratio) / (5 * ratio + 2);
}
