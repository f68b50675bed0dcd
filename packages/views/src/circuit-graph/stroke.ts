// How a weight looks as a line. Sign shows twice, by colour and by dashes, so that neither a colour-blind reader nor a
// grey print loses it. An edge without the chosen weight is a dotted hairline: that is not the same as a weight of 0.

export type Tone = 'positive' | 'negative' | 'unsigned' | 'missing';

export interface Stroke {
  readonly tone: Tone;
  readonly width: number;
  readonly dash: string | undefined;
}

export const THINNEST = 1;
export const THICKEST = 7;

export function strokeOf(value: number | undefined, largest: number, unsigned: boolean): Stroke {
  if (value === undefined) return { tone: 'missing', width: 1, dash: '1 4' };
  // Quarter pixels: faint edges of equal look can share one path.
  const width = THINNEST + Math.round((largest > 0 ? Math.abs(value) / largest : 0) * (THICKEST - THINNEST) * 4) / 4;
  // An unsigned weight falls below 0 only where its baseline was taken off: less than chance, dashed but in ink.
  const dash = value < 0 ? `${Math.max(5, width * 1.6)} ${Math.max(3, width * 0.9)}` : undefined;
  if (unsigned) return { tone: 'unsigned', width, dash };
  return { tone: value < 0 ? 'negative' : 'positive', width, dash };
}
