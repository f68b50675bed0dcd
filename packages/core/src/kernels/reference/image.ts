import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall } from '../contract.ts';
import { badAttribute, badShape, countAttr, param } from './call-reader.ts';
import { convolutionPlane, type Plane } from './window.ts';

/** The four sizes of a value [R, C, H, W]. */
export function imageSizes(
  call: KernelCall,
  name: string,
  shape: readonly number[],
): readonly [rows: number, channels: number, height: number, width: number] {
  const [rows, channels, height, width] = shape;
  if (rows === undefined || channels === undefined || height === undefined || width === undefined || shape.length !== 4)
    throw badShape(call, name, [null, null, null, null], shape);
  return [rows, channels, height, width];
}

export interface Convolution {
  readonly weight: Tensor;
  readonly plane: Plane;
  readonly groups: number;
  /** Channels before and after, of one group of channels. */
  readonly before: number;
  readonly after: number;
}

/** The weight [O, C/groups, kh, kw] and how it moves over images of [H, W] with `channels` channels. */
export function convolutionOf(call: KernelCall, channels: number, size: readonly [number, number]): Convolution {
  const weight = param(call, 0);
  return { weight, ...movement(call, weight.shape, 'W', channels, size) };
}

/** As `convolutionOf`, for a weight of which only the shape is known. */
export function movement(
  call: KernelCall,
  shape: readonly number[],
  name: string,
  channels: number,
  size: readonly [number, number],
): Omit<Convolution, 'weight'> {
  const groups = countAttr(call, 'groups');
  const [out, before, kh, kw] = shape;
  if (groups < 1) throw badAttribute(call, 'groups', 'a whole number from 1');
  if (out === undefined || before === undefined || kh === undefined || kw === undefined || shape.length !== 4)
    throw badShape(call, name, [null, channels / groups, null, null], shape);
  if (before * groups !== channels || out % groups !== 0)
    throw badShape(call, name, [null, channels / groups, kh, kw], shape);
  return { plane: convolutionPlane(call, size, [kh, kw]), groups, before, after: out / groups };
}
