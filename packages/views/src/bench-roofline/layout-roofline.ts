// Where everything stands, in pixels: both axes logarithmic, so that what bytes bound rises by one decade a decade.

import { rateText } from '@circuitscope/schema';
import { type Box, type Label, placeLabels, textWidth } from './place-labels.ts';
import type { Roofline, RooflinePoint } from './roofline.ts';

export interface Tick {
  readonly at: number;
  readonly text: string;
  /** A whole decade. */
  readonly isMajor: boolean;
}

export interface Roof {
  readonly kind: 'ceiling' | 'memory' | 'cache';
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  /** Of the threads and the instruction set that are looked at. */
  readonly holds: boolean;
  readonly text: string;
  readonly textX: number;
  readonly textY: number;
  readonly anchor: 'start' | 'end';
  /** In degrees. */
  readonly turn: number;
}

export interface PlacedPoint extends RooflinePoint {
  readonly x: number;
  readonly y: number;
  /** The kernel alone, with its weights packed before: what the name of the operation stands beside. */
  readonly isNamed: boolean;
}

export interface RooflineLayout {
  readonly width: number;
  readonly height: number;
  readonly frame: Box;
  readonly size: number;
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
  readonly roofs: readonly Roof[];
  readonly points: readonly PlacedPoint[];
  readonly labels: readonly Label[];
}

export const POINT = 4.5;

interface Scale {
  readonly place: (value: number) => number;
  readonly low: number;
  readonly high: number;
}

function scaleOf(low: number, high: number, from: number, to: number): Scale {
  const [first, last] = [Math.log10(low), Math.log10(high)];
  const place = (value: number): number => from + ((Math.log10(value) - first) / (last - first)) * (to - from);
  return { low, high, place };
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

/** 1, 2 and 5 of each decade; only decades where there are many. */
function ticksOf(scale: Scale, text: (value: number) => string): readonly Tick[] {
  const [first, last] = [Math.floor(Math.log10(scale.low)), Math.ceil(Math.log10(scale.high))];
  const ticks: Tick[] = [];
  for (let decade = first; decade <= last; decade++) {
    for (const digit of last - first > 4 ? [1] : [1, 2, 5]) {
      const value = digit * 10 ** decade;
      if (value < scale.low * 0.999 || value > scale.high * 1.001) continue;
      ticks.push({ at: rounded(scale.place(value)), text: text(value), isMajor: digit === 1 });
    }
  }
  return ticks;
}

/** What an axis spans: all values, with room around. */
function spanOf(values: readonly number[], below: number, above: number): readonly [number, number] {
  const known = values.filter((value) => Number.isFinite(value) && value > 0);
  const [low, high] = known.length === 0 ? [1, 100] : [Math.min(...known), Math.max(...known)];
  return [low / below, high * above];
}

const plain = (value: number): string => String(Number(value.toPrecision(3)));

export interface LayoutOptions {
  readonly width: number;
  readonly height: number;
  /** Names stand beside the points of this operation's implementations instead of beside every operation. */
  readonly operation?: string | undefined;
}

export function layoutRoofline(roofline: Roofline, { width, height, operation }: LayoutOptions): RooflineLayout {
  const size = width < 520 ? 10 : 11.5;
  const { points, ceilings, slopes } = roofline;
  const margin = { left: width < 520 ? 40 : 52, right: 10, top: 12, bottom: 42 };
  const frame: Box = {
    x: margin.left,
    y: margin.top,
    width: Math.max(40, width - margin.left - margin.right),
    height: Math.max(40, height - margin.top - margin.bottom),
  };
  const peak = ceilings.find(({ holds }) => holds)?.flops;
  const memory = slopes.find(({ from, holds }) => from === 'memory' && holds)?.bytesPerSecond;
  const ridge = peak !== undefined && memory !== undefined ? [peak / memory] : [];
  const [lowX, highX] = spanOf([...points.map(({ intensity }) => intensity), ...ridge], 2, 2.5);
  const rates = [
    ...points.map(({ flops }) => flops),
    ...ceilings.filter(({ holds }) => holds).map(({ flops }) => flops),
  ];
  const [lowY, highY] = spanOf(rates, 2.2, 2.2);
  const x = scaleOf(lowX, highX, frame.x, frame.x + frame.width);
  const y = scaleOf(lowY, highY, frame.y + frame.height, frame.y);

  const roofs = withoutCollisions(
    [
      ...slopes.flatMap((slope) => slopeRoof(slope, { x, y, ceiling: peak, size })),
      ...ceilings.flatMap((ceiling) => ceilingRoof(ceiling, { x, y, memory, frame, size })),
    ],
    size,
  );
  // From cold caches they are named where there are no others: the same names twice in one column would cover it.
  const isHotToo = points.some((point) => point.operation === operation && point.regime === 'hot');
  const isChosen = (point: RooflinePoint): boolean =>
    point.operation === operation && (point.regime === 'hot' || !isHotToo);
  const placed = points.map((point): PlacedPoint => {
    const isNamed = operation === undefined ? isNamedAmong(point, points) : isChosen(point);
    return { ...point, x: rounded(x.place(point.intensity)), y: rounded(y.place(point.flops)), isNamed };
  });
  const wanted = placed
    .filter(({ isNamed }) => isNamed)
    .map((point) => ({ text: nameOf(point, operation), x: point.x, y: point.y }));
  const dots = placed.map(({ x, y }) => ({ x: x - POINT, y: y - POINT, width: 2 * POINT, height: 2 * POINT }));
  const texts = roofs.map(({ textX, textY, anchor, text, turn }): Box => {
    const long = textWidth(text, size);
    const run = long * Math.cos((turn * Math.PI) / 180);
    const rise = Math.abs(long * Math.sin((turn * Math.PI) / 180));
    return { x: anchor === 'end' ? textX - run : textX, y: textY - rise - size, width: run, height: rise + size * 1.2 };
  });
  return {
    width,
    height,
    frame,
    size,
    xTicks: ticksOf(x, plain),
    yTicks: ticksOf(y, (value) => plain(value / 1e9)),
    roofs,
    points: placed,
    labels: placeLabels(wanted, { frame, obstacles: [...dots, ...texts], size }),
  };
}

/** Of each operation in each regime one point: the kernel alone, else the fastest. */
function isNamedAmong(point: RooflinePoint, points: readonly RooflinePoint[]): boolean {
  const same = points.filter(({ operation, regime }) => operation === point.operation && regime === point.regime);
  const own = same.find(({ implementation }) => implementation === 'circuitscope');
  return point === (own ?? same.reduce((best, other) => (other.flops > best.flops ? other : best)));
}

/** Of a chosen operation who ran it, ours by what sets it apart from the kernel alone. */
function nameOf({ operation, implementation, regime }: RooflinePoint, chosen: string | undefined): string {
  const name = chosen === undefined ? operation : implementation.replace(/^circuitscope(?:, | (?=from))/, '');
  return `${name}${regime === 'cold' ? ', cold' : ''}`;
}

interface Place {
  readonly x: Scale;
  readonly y: Scale;
  readonly size: number;
}

/** Bytes a second: from the left edge up to the ceiling, or to the end of the frame. */
function slopeRoof(
  { from, threads, bytesPerSecond, holds }: Roofline['slopes'][number],
  { x, y, ceiling, size }: Place & { readonly ceiling: number | undefined },
): readonly Roof[] {
  const top = Math.min(ceiling ?? y.high, y.high);
  const [first, last] = [Math.max(x.low, y.low / bytesPerSecond), Math.min(x.high, top / bytesPerSecond)];
  // What only begins to the right of the picture, or ends to the left of it, bounds nothing in it.
  if (!(last > first * 1.02)) return [];
  const [x1, x2] = [rounded(x.place(first)), rounded(x.place(last))];
  const [y1, y2] = [rounded(y.place(first * bytesPerSecond)), rounded(y.place(last * bytesPerSecond))];
  const text = `${from} ${rateText(bytesPerSecond, 'B')}${holds ? '' : `, ${threadsText(threads)}`}`;
  const turn = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const isLong = Math.hypot(x2 - x1, y2 - y1) > textWidth(text, size) + 20;
  const along = 10 / Math.max(1, Math.hypot(x2 - x1, y2 - y1));
  return [
    {
      kind: from === 'memory' ? 'memory' : 'cache',
      x1,
      y1,
      x2,
      y2,
      holds,
      text: isLong ? text : '',
      textX: rounded(x1 + (x2 - x1) * along),
      textY: rounded(y1 + (y2 - y1) * along - 5),
      anchor: 'start',
      turn: rounded(turn),
    },
  ];
}

/** Operations a second: from where memory reaches it to the right edge. */
function ceilingRoof(
  { isa, threads, flops, holds }: Roofline['ceilings'][number],
  { x, y, memory, frame, size }: Place & { readonly memory: number | undefined; readonly frame: Box },
): readonly Roof[] {
  if (flops < y.low || flops > y.high) return [];
  const first = memory === undefined ? x.low : Math.max(x.low, Math.min(x.high, flops / memory));
  const [x1, x2, at] = [rounded(x.place(first)), rounded(frame.x + frame.width), rounded(y.place(flops))];
  const text = `${isa} ${rateText(flops, 'FLOP')}${holds ? '' : `, ${threadsText(threads)}`}`;
  return [
    {
      kind: 'ceiling',
      x1,
      y1: at,
      x2,
      y2: at,
      holds,
      text: x2 - x1 > textWidth(text, size) + 12 ? text : '',
      textX: rounded(x2 - 4),
      textY: rounded(at - 5),
      anchor: 'end',
      turn: 0,
    },
  ];
}

/** Two vector widths on one and two threads may give the same rate, two caches nearly so: they share a text, or the one that holds keeps its own. */
function withoutCollisions(roofs: readonly Roof[], size: number): readonly Roof[] {
  const kept: Roof[] = [];
  // The upper one of two that are close has room above it.
  for (const roof of [...roofs].sort((a, b) => Number(b.holds) - Number(a.holds) || a.textY - b.textY)) {
    const at = kept.findIndex(
      ({ kind, textX, textY, text }) =>
        (kind === 'ceiling') === (roof.kind === 'ceiling') &&
        text !== '' &&
        Math.abs(textY - roof.textY) < size * (kind === 'ceiling' ? 1.4 : 2.4) &&
        Math.abs(textX - roof.textX) < textWidth(text, size),
    );
    const close = kept[at];
    kept.push(close ? { ...roof, text: '' } : roof);
    if (close && close.kind === 'cache' && roof.kind === 'cache' && roof.text !== '')
      kept[at] = { ...close, text: `${close.text}, ${roof.text}` };
  }
  return kept;
}

const threadsText = (threads: number): string => `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
