import { CircuitscopeError, type Site } from '@circuitscope/schema';
import { findSite } from '../graph/index.ts';
import {
  captured,
  type Engine,
  makePlan,
  type Prompt,
  type RunOptions,
  readoutTensor,
  runPlan,
} from '../plan/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import { spliceSites } from './splice.ts';

// What a spliced dictionary says of a prompt: which latents are active where, how much of the site it misses, and what the
// model answers without one of them.

export interface ActiveLatents {
  readonly example: number;
  readonly position: number;
  /** How many latents are not zero. */
  readonly active: number;
  /** The largest, by value descending, then by index. */
  readonly top: readonly { readonly latent: number; readonly value: number }[];
}

export interface LatentReading {
  readonly positions: readonly ActiveLatents[];
  /** Mean number of active latents of a position. */
  readonly l0: number;
  /** Σ‖x − x̂‖² / Σ‖x − mean of x‖² over all positions; null where all x are equal. */
  readonly unexplained: number | null;
}

/**
 * Runs a model with a spliced dictionary and reads its latents at every position of the prompt.
 * @param at the site that the dictionary writes
 * @throws CircuitscopeError `unknown_site`
 */
export async function readLatents(
  engine: Engine,
  prompt: Prompt,
  { at, top, run = {} }: { readonly at: Site; readonly top: number; readonly run?: RunOptions },
): Promise<LatentReading> {
  const has = (site: Site): boolean => engine.graph.nodes.some(({ sites }) => sites.includes(site));
  const target =
    [`${at}.${spliceSites.input}`, `${at}.${spliceSites.target}`].find(has) ?? `${at}.${spliceSites.input}`;
  const sites = [`${at}.${spliceSites.latents}`, target, `${at}.${spliceSites.reconstruction}`] as const;
  const plan = makePlan(engine.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
  const result = await runPlan(engine, plan, prompt, run);
  const latents = captured(result, sites[0]);
  const positions = rowsOf(latents).map((row, index): ActiveLatents => {
    const active = Array.from(row.keys()).filter((latent) => row[latent] !== 0);
    const ranked = active.sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b).slice(0, top);
    return {
      example: Math.floor(index / result.pos),
      position: index % result.pos,
      active: active.length,
      top: ranked.map((latent) => ({ latent, value: row[latent] ?? 0 })),
    };
  });
  return {
    positions,
    l0: positions.reduce((sum, { active }) => sum + active, 0) / positions.length,
    unexplained: fractionUnexplained(captured(result, sites[1]), captured(result, sites[2])),
  };
}

/**
 * Σ‖x − x̂‖² / Σ‖x − mean of x‖², over rows [batch, pos] of whatever follows; the mean is that of all rows. 0 is a perfect
 * reconstruction, 1 is as good as the mean. Null where all rows are equal.
 */
export function fractionUnexplained(x: Tensor, reconstruction: Tensor): number | null {
  const rows = rowsOf(x);
  const made = rowsOf(reconstruction);
  const width = rows[0]?.length ?? 0;
  const mean = new Float64Array(width);
  for (const row of rows) for (let i = 0; i < width; i++) mean[i]! += (row[i] ?? 0) / rows.length;
  let missed = 0;
  let spread = 0;
  rows.forEach((row, at) => {
    for (let i = 0; i < width; i++) {
      missed += ((row[i] ?? 0) - (made[at]?.[i] ?? Number.NaN)) ** 2;
      spread += ((row[i] ?? 0) - (mean[i] ?? 0)) ** 2;
    }
  });
  return spread === 0 ? null : missed / spread;
}

export interface LatentAblation {
  readonly latent: number;
  /** By example: the answer, its logit at the last position, and that logit with the latent set to zero everywhere. */
  readonly examples: readonly { readonly answer: number; readonly before: number; readonly after: number }[];
}

/**
 * What zeroing one latent at every position does to the logit of an answer at the last position.
 * @param answer by default the token that the untouched model thinks most likely, for each example its own
 * @throws CircuitscopeError `out_of_range`, `unknown_site`
 */
export async function ablateLatent(
  engine: Engine,
  prompt: Prompt,
  options: { readonly at: Site; readonly latent: number; readonly answer?: number; readonly run?: RunOptions },
): Promise<LatentAblation> {
  const { at, latent, answer, run = {} } = options;
  const site = `${at}.${spliceSites.latents}`;
  const count = Number(findSite(engine.graph, site).shape[2]);
  const vocab = Number(findSite(engine.graph, 'logits').shape[2]);
  requireBelow(latent, count, 'latent', site);
  if (answer !== undefined) requireBelow(answer, vocab, 'token', 'logits');
  const plan = makePlan(engine.graph, {
    readouts: [{ kind: 'capture', at: { site: 'logits', at: { kind: 'last' } } }],
    sweep: [[], [{ kind: 'write', at: { site, unit: [latent] }, op: 'set', value: { kind: 'const', value: 0 } }]],
  });
  const { data } = readoutTensor(await runPlan(engine, plan, prompt, run), 0);
  const examples = prompt.tokens.map((_, example) => {
    const row = (variant: number): Floats => {
      const start = (variant * prompt.tokens.length + example) * vocab;
      return data.subarray(start, start + vocab);
    };
    const [clean, ablated] = [row(0), row(1)];
    const chosen = answer ?? indexOfLargest(clean);
    return { answer: chosen, before: clean[chosen] ?? Number.NaN, after: ablated[chosen] ?? Number.NaN };
  });
  return { latent, examples };
}

function indexOfLargest(values: Floats): number {
  let best = 0;
  for (const [id, value] of values.entries()) if (value > (values[best] ?? 0)) best = id;
  return best;
}

function requireBelow(index: number, count: number, what: string, site: Site): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  throw new CircuitscopeError('out_of_range', `${site} has ${count} ${what}s; there is no ${what} ${index}.`, {
    at: site,
    expected: `0 to ${count - 1}`,
    got: String(index),
  });
}

/** Rows of a captured site, [batch × pos]. */
function rowsOf({ shape, data }: Tensor): Floats[] {
  const rows = (shape[0] ?? 0) * (shape[1] ?? 0);
  const width = rows === 0 ? 0 : data.length / rows;
  return Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width));
}
