import type { LogLine } from '@circuitscope/core';
import type { Io } from '../../io.ts';
import { numbers, oneLine, styleFor } from '../../output/index.ts';
import { trainingCurves } from './training-curves.ts';

export interface LiveView {
  readonly progress: (done: number, steps: number) => void;
  readonly line: (line: LogLine) => void;
  /** Takes the view away, also when the training fails. */
  readonly [Symbol.dispose]: () => void;
}

const PAUSE_MS = 100;
const BAR = 24;
/** The speed is that of the last seconds, as evaluations and other programs come and go. */
const SPEED_WINDOW_MS = 5000;

/** Curves and progress, drawn again in place on a terminal's stderr; nothing in a pipe. */
export function liveView(io: Io, title: string, earlier: () => readonly LogLine[]): LiveView {
  const { stderr } = io;
  if (!stderr.isTerminal || io.env.TERM === 'dumb')
    return { progress: () => {}, line: () => {}, [Symbol.dispose]: () => {} };
  const style = styleFor(io, stderr);
  const times: { readonly at: number; readonly done: number }[] = [];
  let lines: LogLine[] | undefined;
  let height = 0;
  let lastDrawn = Number.NEGATIVE_INFINITY;

  const clear = (): void => {
    if (height > 0) stderr.write(`\r\u001b[${height}A\u001b[J`);
    height = 0;
  };
  const status = (done: number, steps: number): string => {
    const full = Math.round((done / steps) * BAR);
    const [first, last] = [times[0], times.at(-1)];
    const elapsed = first && last ? last.at - first.at : 0;
    const perSecond = first && last && elapsed > 0 ? ((last.done - first.done) * 1000) / elapsed : 0;
    const pace =
      perSecond > 0
        ? `${numbers.number(perSecond, 3)} steps/s, ${numbers.duration(((steps - done) / perSecond) * 1000)} left`
        : 'starting';
    return `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${numbers.count(done)}/${numbers.count(steps)}  ${pace}`;
  };
  return {
    line: (line) => void lines?.push(line),
    progress: (done, steps) => {
      const now = performance.now();
      // The log on disk is cut by now to what this training goes on from.
      lines ??= [...earlier()];
      if (now - lastDrawn < PAUSE_MS && done < steps) return;
      lastDrawn = now;
      times.push({ at: now, done });
      while (times.length > 2 && now - (times[0]?.at ?? now) > SPEED_WINDOW_MS) times.shift();
      const width = stderr.columns - 1;
      const rows = [
        style.bold(oneLine(title).slice(0, width)),
        status(done, steps).slice(0, width),
        ...trainingCurves(lines, width, style),
      ];
      clear();
      stderr.write(`${rows.join('\n')}\n`);
      height = rows.length;
    },
    [Symbol.dispose]: clear,
  };
}
