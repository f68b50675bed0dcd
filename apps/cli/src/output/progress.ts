import type { Io } from '../io.ts';
import { oneLine } from './report-error.ts';

export interface Progress {
  /** @param share of the work that is done, 0 to 1. @param what is being done now */
  readonly update: (share: number, what?: string) => void;
  /** Takes the bar away. Whoever draws a bar must end it, also when work fails: `using bar = progress(io, …)`. */
  readonly end: () => void;
  readonly [Symbol.dispose]: () => void;
}

const PAUSE_MS = 50;
const BAR = 24;

/** A bar on a terminal's stderr; nothing at all in a pipe. */
export function progress(io: Io, what: string): Progress {
  const { stderr } = io;
  if (!stderr.isTerminal || io.env.TERM === 'dumb') return silent;
  let label = what;
  let lastDrawn = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const update = (share: number, now?: string): void => {
    label = now ?? label;
    const time = performance.now();
    if (time - lastDrawn < PAUSE_MS) return;
    lastDrawn = time;
    drawn = true;
    const done = Math.min(1, Math.max(0, share));
    const full = Math.round(done * BAR);
    const line = `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(Math.floor(done * 100)).padStart(3)} % ${oneLine(label)}`;
    stderr.write(`\r\u001b[2K${line.slice(0, stderr.columns - 1)}`);
  };
  const end = (): void => {
    if (drawn) stderr.write('\r\u001b[2K');
    drawn = false;
  };
  update(0);
  return { update, end, [Symbol.dispose]: end };
}

const silent: Progress = { update: () => {}, end: () => {}, [Symbol.dispose]: () => {} };
