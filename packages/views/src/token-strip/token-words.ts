import type { StripToken } from '@circuitscope/schema';
import { tokenText } from '../attention-pattern/token-text.ts';
import { formatNumber } from '../figure/format-number.ts';

/** Two nats a step: the fifth stands for a probability below e⁻¹⁰. */
const NATS_PER_STEP = 2;
const STEPS = 5;

/** How little a token was expected, from 0 (likely, or nothing known) to 5. */
export function surprise({ logProb }: StripToken): number {
  return logProb === undefined ? 0 : Math.min(STEPS, Math.max(0, Math.round(-logProb / NATS_PER_STEP)));
}

export function tokenSentence({ id, text, source, logProb, rank }: StripToken, position: number): string {
  const written = source === undefined ? '' : ` · “${tokenText(source)}” in the prompt`;
  const said = `${position} “${tokenText(text)}”${written} · id ${id}`;
  if (logProb === undefined || rank === undefined) return `${said} · nothing stands before it that could expect it`;
  const likely = rank === 0 ? 'the likeliest here' : `${rank} ${rank === 1 ? 'token was' : 'tokens were'} likelier`;
  return `${said} · log probability ${formatNumber(logProb)} (${formatShare(Math.exp(logProb))}) · rank ${rank}: ${likely}`;
}

/** A probability in percent. */
export function formatShare(share: number): string {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.01) return '< 0.01 %';
  return `${percent >= 10 ? percent.toFixed(0) : percent.toFixed(percent >= 1 ? 1 : 2)} %`;
}
