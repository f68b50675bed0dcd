import type { Io, Sink } from '../io.ts';

/** Colour and weight of text; each is the identity where they are not wanted. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  /** On a ground from blue (-1) over none (0) to red (1); beyond, as at the ends. */
  readonly heat: (share: number, text: string) => string;
}

const same = (text: string) => text;
export const plain: Style = { bold: same, dim: same, good: same, bad: same, heat: (_, text) => text };

const paint = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
/** Steps of the 6 × 6 × 6 colours that terminals have, light enough for black digits. */
const reds = [231, 224, 217, 210, 203] as const;
const blues = [231, 189, 153, 117, 75] as const;

function heat(share: number, text: string): string {
  const size = Number.isFinite(share) ? Math.min(Math.abs(share), 1) : 0;
  const step = Math.round(size * (reds.length - 1));
  if (step === 0) return text;
  return `\u001b[38;5;16;48;5;${(share < 0 ? blues : reds)[step]}m${text}\u001b[39;49m`;
}

const painted: Style = { bold: paint(1, 22), dim: paint(2, 22), good: paint(32, 39), bad: paint(31, 39), heat };

/** Colour on a terminal only, and never under NO_COLOR (https://no-color.org) or TERM=dumb. */
export function styleFor(io: Io, sink: Sink = io.stdout): Style {
  const unwanted = (io.env.NO_COLOR ?? '') !== '' || io.env.TERM === 'dumb';
  return sink.isTerminal && !unwanted ? painted : plain;
}
