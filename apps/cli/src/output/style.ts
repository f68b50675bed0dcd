import type { Io, Sink } from '../io.ts';

/** Colour and weight of text; each is the identity where they are not wanted. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

const same = (text: string) => text;
export const plain: Style = { bold: same, dim: same, good: same, bad: same };

const paint = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const painted: Style = { bold: paint(1, 22), dim: paint(2, 22), good: paint(32, 39), bad: paint(31, 39) };

/** Colour on a terminal only, and never under NO_COLOR (https://no-color.org) or TERM=dumb. */
export function styleFor(io: Io, sink: Sink = io.stdout): Style {
  const unwanted = (io.env.NO_COLOR ?? '') !== '' || io.env.TERM === 'dumb';
  return sink.isTerminal && !unwanted ? painted : plain;
}
