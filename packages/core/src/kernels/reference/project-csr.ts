import { CircuitscopeError } from '@circuitscope/schema';
import { intZeros } from '../../tensor/index.ts';
import type { KernelCall, KernelResult, ReferenceKernel } from '../contract.ts';
import { badShape, countAttr } from './call-reader.ts';
import { descending } from './descending.ts';
import { givenRows, type LatentRows, latentRows } from './latent-rows.ts';

/**
 * Reads each token through a dictionary and gives its active latents (latent-rows.ts) as sparse rows; with `batchTopK` = k
 * the first k·T of the whole batch of T tokens: value descending, NaN first, −0 = 0, ties by token, then by latent. Values
 * bounded as linear; the choice is exact given the values.
 */
export const projectCsr: ReferenceKernel = (call, make) => sparseRows(call, latentRows(call, make), make);

/** The same from latents that are there: active are those that are not 0. Exact. */
export const activeCsr: ReferenceKernel = (call, make) => sparseRows(call, givenRows(call), make);

interface Entry {
  readonly token: number;
  readonly latent: number;
  readonly value: number;
}

function sparseRows(
  call: KernelCall,
  { tokens, rows }: LatentRows,
  make: Parameters<ReferenceKernel>[1],
): KernelResult {
  const found: Entry[] = [];
  for (let token = 0; token < tokens; token++) {
    const { row, active } = rows(token);
    for (const latent of active) found.push({ token, latent, value: row[latent]! });
  }
  const kept = call.attrs.batchTopK === undefined ? found : firstOfBatch(found, countAttr(call, 'batchTopK') * tokens);
  const [entries] = call.outShapes[0] ?? [];
  const room = entries ?? kept.length;
  if (kept.length > room) throw noRoom(call, kept.length, room);
  const values = make([room]);
  const latents = intZeros([room]);
  const rowStart = intZeros([tokens + 1]);
  const starts = call.outShapes[2];
  if (starts && (starts.length !== 1 || starts[0] !== tokens + 1))
    throw badShape(call, 'row_start', [tokens + 1], starts);
  latents.data.fill(-1);
  kept.forEach(({ token, latent, value }, at) => {
    values.data[at] = value;
    latents.data[at] = latent;
    rowStart.data[token + 1] = at + 1;
  });
  for (let token = 1; token <= tokens; token++) {
    rowStart.data[token] = Math.max(rowStart.data[token]!, rowStart.data[token - 1]!);
  }
  return [values, latents, rowStart];
}

/** In the order of tokens again. */
function firstOfBatch(found: readonly Entry[], count: number): readonly Entry[] {
  const place = new Map(found.map((entry, at) => [entry, at]));
  const at = (entry: Entry): number => place.get(entry) ?? 0;
  const sorted = [...found].sort((a, b) => descending(a.value, at(a), b.value, at(b)));
  return sorted.slice(0, count).sort((a, b) => at(a) - at(b));
}

function noRoom(call: KernelCall, needed: number, room: number): CircuitscopeError {
  return new CircuitscopeError(
    'capacity',
    `${call.kernel}: ${needed} latents are active, and there is room for ${room}; give room for ${needed}, or run fewer tokens at once.`,
    { at: `${call.kernel}.values`, expected: String(room), got: String(needed) },
  );
}
