import { CircuitscopeError, type Site } from '@circuitscope/schema';
import { captured, type Engine, imagePrompt, makePlan, type RunOptions, runPlan } from '../../plan/index.ts';
import { type Tensor, tensor } from '../../tensor/index.ts';
import { describeTuning, type Tuning, type TuningOptions } from './describe-tuning.ts';

export interface ResponseOptions extends Pick<RunOptions, 'signal' | 'threads'> {
  /**
   * Which place of a channel counts: the one over the middle of the image (the later of two), the largest anywhere, or the
   * mean of all.
   */
  readonly place?: 'middle' | 'largest' | 'mean';
  /** Images that run together; 64 if left out. */
  readonly batch?: number;
}

/**
 * What every channel of a site answers to every image.
 * @param images [count, channels, height, width]
 * @returns [count, channels of the site]
 * @throws CircuitscopeError `bad_scope` where the site is no image, and what running a plan gives
 */
export async function channelResponses(
  engine: Engine,
  images: Tensor,
  site: Site,
  { place = 'middle', batch = 64, ...run }: ResponseOptions = {},
): Promise<Tensor> {
  const [count = 0, ...rest] = images.shape;
  const each = rest.reduce((a, b) => a * b, 1);
  const plan = makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site } }] });
  const parts: number[] = [];
  let channels = 0;
  for (let from = 0; from < count; from += batch) {
    const to = Math.min(count, from + batch);
    const some = tensor([to - from, ...rest], images.data.subarray(from * each, to * each));
    const { shape, data } = captured(await runPlan(engine, plan, imagePrompt(some), run), site);
    const [, planes = 0, height = 0, width = 0] = shape;
    if (shape.length !== 4) {
      throw new CircuitscopeError('bad_scope', `${site} is no image of channels.`, {
        at: site,
        got: `[${shape.join(', ')}]`,
      });
    }
    channels = planes;
    const places = height * width;
    const middle = Math.floor(height / 2) * width + Math.floor(width / 2);
    for (let plane = 0; plane < data.length; plane += places) {
      if (place === 'middle') parts.push(data[plane + middle] ?? 0);
      else {
        const all = data.subarray(plane, plane + places);
        parts.push(place === 'largest' ? largest(all) : sumOf(all) / places);
      }
    }
  }
  return tensor([count, channels], Float64Array.from(parts));
}

/** One channel's responses to a design of directions × others (radii, offsets), [direction][other]. */
export function tuningTable({ shape, data }: Tensor, channel: number, directions: number): Float64Array[] {
  const [count = 0, channels = 0] = shape;
  if (!(channel >= 0 && channel < channels) || directions < 1 || count % directions !== 0) {
    throw new CircuitscopeError(
      'bad_attribute',
      `${count} responses are no table of ${directions} directions, or channel ${channel} is none of ${channels}.`,
    );
  }
  const others = count / directions;
  return Array.from({ length: directions }, (_, at) =>
    Float64Array.from({ length: others }, (__, other) => data[(at * others + other) * channels + channel] ?? 0),
  );
}

/** The tuning of a unit at the radius and offset (the column of its table) where it responds most. */
export function bestTuning(
  table: readonly ArrayLike<number>[],
  options: TuningOptions,
): Tuning & { readonly column: number; readonly curve: Float64Array } {
  const columns = table[0]?.length ?? 0;
  const peaks = Array.from({ length: columns }, (_, column) => largest(table.map((row) => row[column] ?? 0)));
  const column = peaks.indexOf(largest(peaks));
  const curve = Float64Array.from(table, (row) => row[column] ?? 0);
  return { ...describeTuning(curve, options), column, curve };
}

function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] ?? 0;
  return sum;
}

function largest(values: ArrayLike<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < values.length; at++) most = Math.max(most, values[at] ?? most);
  return most;
}
