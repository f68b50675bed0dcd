import type { Estimate, HeadScore } from '@circuitscope/schema';
import { numbers, type Style, table } from '../output/index.ts';

export interface HeadRow {
  readonly layer: number;
  readonly head: number;
  readonly previousToken: HeadScore;
  readonly duplicateToken: HeadScore;
  readonly induction: HeadScore;
}

/** Heads with their scores, and below them what attention spread evenly over the keys would score. */
export function headsText(heads: readonly HeadRow[], style: Style): string {
  const first = heads[0];
  const rows = heads.map(({ layer, head, previousToken, duplicateToken, induction }) => [
    `${layer}.${head}`,
    estimate(previousToken.estimate),
    estimate(duplicateToken.estimate),
    estimate(induction.estimate),
  ]);
  if (first) {
    const chances = [first.previousToken, first.duplicateToken, first.induction].map(({ chance }) => chance);
    rows.push(['even attention', ...chances.map((chance) => numbers.fixed(chance, 2))]);
  }
  const right = (title: string) => ({ title, align: 'right' as const });
  return table([{ title: 'head' }, right('previous token'), right('duplicate token'), right('induction')], rows, style);
}

/** 0.95 [0.91, 0.98], or the number alone where examples do not differ. */
export function estimate({ value, interval }: Estimate, decimals = 2): string {
  return interval ? numbers.withInterval(value, interval, decimals) : numbers.fixed(value, decimals);
}
