import { CircuitscopeError } from '@circuitscope/schema';
import type { KernelCall } from '../contract.ts';
import { flagAttr } from './call-reader.ts';

// How a window moves over a plane, one axis at a time: the arithmetic that convolutions and pools share.

export interface Axis {
  readonly size: number;
  readonly window: number;
  readonly stride: number;
  /** Entries before the image; `behind` are those after it. */
  readonly padding: number;
  readonly behind: number;
  readonly dilation: number;
  /** Entries of the axis after the kernel. */
  readonly out: number;
}

export type Plane = readonly [down: Axis, across: Axis];

/** An attribute of two whole numbers from `least` on. */
export function pairAttr(call: KernelCall, name: string, least = 0): readonly [number, number] {
  const value = call.attrs[name];
  if (Array.isArray(value) && value.length === 2) {
    const [a, b] = value;
    if (isCount(a, least) && isCount(b, least)) return [a, b];
  }
  const got = JSON.stringify(value) ?? 'nothing';
  throw new CircuitscopeError(
    'bad_attribute',
    `${call.kernel} needs the attribute ${name} to be two whole numbers from ${least}, but it is ${got}.`,
    { at: `${call.kernel}.${name}`, expected: `two whole numbers from ${least}`, got },
  );
}

/** Padding as attributes have it: [down, across] on either side, or [top, left, bottom, right]. */
export function sidesOf(padding: readonly number[]): readonly [down: Sides, across: Sides] {
  const [top = 0, left = 0, bottom = top, right = left] = padding;
  return [
    { padding: top, behind: bottom },
    { padding: left, behind: right },
  ];
}

type Sides = Pick<Axis, 'padding' | 'behind'>;

function paddingAttr(call: KernelCall): readonly [Sides, Sides] {
  const value = call.attrs.padding;
  if (!Array.isArray(value) || value.length !== 4) return sidesOf(pairAttr(call, 'padding'));
  if (value.every((side) => isCount(side, 0))) return sidesOf(value.map(Number));
  throw new CircuitscopeError(
    'bad_attribute',
    `${call.kernel} needs the attribute padding to be two or four whole numbers from 0, but it is ${JSON.stringify(value)}.`,
    { at: `${call.kernel}.padding`, expected: 'two or four whole numbers', got: JSON.stringify(value) },
  );
}

/** The planes before and after a convolution with a window of [kh, kw]. */
export function convolutionPlane(
  call: KernelCall,
  size: readonly [number, number],
  window: readonly [number, number],
): Plane {
  const [stride, dilation, padding] = [pairAttr(call, 'stride', 1), pairAttr(call, 'dilation', 1), paddingAttr(call)];
  const axis = (at: 0 | 1): Axis =>
    axisOf({ size: size[at], window: window[at], stride: stride[at], ...padding[at], dilation: dilation[at] }, false);
  return [axis(0), axis(1)];
}

/** The same for a pool, whose window stands in its attributes. */
export function poolPlane(call: KernelCall, size: readonly [number, number]): Plane {
  const window = pairAttr(call, 'window', 1);
  const [stride, padding] = [pairAttr(call, 'stride', 1), paddingAttr(call)];
  const dilation = call.attrs.dilation === undefined ? ([1, 1] as const) : pairAttr(call, 'dilation', 1);
  if (padding.some((sides, at) => 2 * Math.max(sides.padding, sides.behind) > (window[at] ?? 0))) {
    throw new CircuitscopeError(
      'bad_attribute',
      `${call.kernel} pads more than half a window, so that a window could lie outside the image.`,
      { at: `${call.kernel}.padding`, expected: 'at most half the window', got: JSON.stringify(call.attrs.padding) },
    );
  }
  const ceil = flagAttr(call, 'ceil');
  const axis = (at: 0 | 1): Axis =>
    axisOf({ size: size[at], window: window[at], stride: stride[at], ...padding[at], dilation: dilation[at] }, ceil);
  return [axis(0), axis(1)];
}

/** Where the entry `offset` of the window at place `at` lies; below 0 or past the end is padding. */
export function placeOf({ stride, padding, dilation }: Axis, at: number, offset: number): number {
  return at * stride - padding + offset * dilation;
}

/** With `ceil` a last window that only partly fits counts, if it begins inside the image or the padding before it. */
export function axisOf(axis: Omit<Axis, 'out'>, ceil: boolean): Axis {
  const room = axis.size + axis.padding + axis.behind - axis.dilation * (axis.window - 1) - 1;
  if (room < 0) return { ...axis, out: 0 };
  const fitting = Math.floor((room + (ceil ? axis.stride - 1 : 0)) / axis.stride) + 1;
  const out = ceil && (fitting - 1) * axis.stride >= axis.size + axis.padding ? fitting - 1 : fitting;
  return { ...axis, out };
}

function isCount(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}
