import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import type { Engine, Program, Prompt } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import { captureSites, type LensRun } from './capture-sites.ts';
import { type FinalRead, readFinal, streamSites } from './final-read.ts';
import { addLogits, LensProgram, runLensProgram } from './lens-program.ts';

// The logit lens (nostalgebraist 2020): the stream after each layer read as if it were the last, through the last norm with
// statistics of its own. Logits exist for some positions at a time and are gone once their numbers are taken.

export interface LogitLensOptions extends LensRun {
  readonly at: Pos;
  /** How many of the largest logits are kept; 1 if left out. */
  readonly topK?: number;
  /** A token per example and position [batch][position], whose logit, log probability and rank are read. */
  readonly target?: readonly (readonly number[])[];
  /** Also the stream between attention and MLP. */
  readonly mid?: boolean;
  /** Logits of about this many bytes are alive at once. */
  readonly bytesAtOnce?: number;
  readonly onProgress?: (share: number) => void;
}

/** Rows run [stream, batch, position]; the last stream is what the model itself says. */
export interface LogitLens {
  readonly labels: readonly string[];
  readonly batch: number;
  readonly positions: number;
  readonly topK: {
    readonly k: number;
    readonly ids: Int32Array;
    readonly logits: Floats;
    readonly logProbs: Float64Array;
  };
  /** In nats, of the distribution that is read. */
  readonly entropy: Float64Array;
  /** Σ p log(p / q) in nats: p what the model says in the end, q what is read here. */
  readonly klToFinal: Float64Array;
  readonly target: {
    readonly logit: Float64Array;
    readonly logProb: Float64Array;
    /** 0 for the largest logit; of equal logits the smaller id comes first. */
    readonly rank: Int32Array;
  } | null;
}

const LOGIT_BYTES = 64 * 2 ** 20;

export async function logitLens(engine: Engine, prompt: Prompt, options: LogitLensOptions): Promise<LogitLens> {
  const { at, topK = 1, target, mid = false, bytesAtOnce = LOGIT_BYTES, onProgress, ...run } = options;
  const final = readFinal(engine.graph);
  const streams = streamSites(engine.graph, mid);
  const sites = streams.map(({ site }) => site);
  const taken = await captureSites(engine, prompt, sites, at, run);
  const [batch = 0, positions = 0] = taken.get(final.stream)?.shape ?? [];
  const places = batch * positions;
  const rows = streams.length * places;
  const k = Math.min(topK, final.vocab);
  const ids = target ? checkedTargets(target, { batch, positions, vocab: final.vocab }) : null;
  const double = taken.get(final.stream)?.data instanceof Float64Array;
  const lens = {
    ids: new Int32Array(rows * k),
    logits: double ? new Float64Array(rows * k) : new Float32Array(rows * k),
    logProbs: new Float64Array(rows * k),
    entropy: new Float64Array(rows),
    klToFinal: new Float64Array(rows),
    logit: new Float64Array(ids ? rows : 0),
    logProb: new Float64Array(ids ? rows : 0),
    rank: new Int32Array(ids ? rows : 0),
  };
  const program = readingProgram(final, k);
  const chunk = Math.max(1, Math.min(places, Math.floor(bytesAtOnce / (2 * 4 * final.vocab * streams.length))));
  for (let start = 0; start < places; start += chunk) {
    const count = Math.min(chunk, places - start);
    const stacked = stack(
      streams.map(({ site }) => taken.get(site)?.data),
      { start, count, width: final.width },
    );
    const { x, p, top, indices } = await readRows(engine, program, stacked, streams.length * count, run);
    for (let row = 0; row < streams.length * count; row++) {
      const [stream, place] = [Math.floor(row / count), start + (row % count)];
      const to = stream * places + place;
      const own = { x: rowOf(x, row, final.vocab), p: rowOf(p, row, final.vocab) };
      const last = (streams.length - 1) * count + (row % count);
      const model = rowOf(p, last, final.vocab);
      // The normaliser from the largest logit, whose probability has the smallest relative rounding.
      const [first = 0] = [indices[row * k]];
      const logZ = own.x[first]! - Math.log(own.p[first]!);
      const sums = stream === streams.length - 1 ? entropyOf(own, logZ) : compare(own, model, logZ);
      lens.entropy[to] = sums.entropy;
      lens.klToFinal[to] = sums.crossEntropy;
      for (let i = 0; i < k; i++) {
        lens.ids[to * k + i] = indices[row * k + i]!;
        lens.logits[to * k + i] = top[row * k + i]!;
        lens.logProbs[to * k + i] = top[row * k + i]! - logZ;
      }
      if (!ids) continue;
      const id = ids[place]!;
      lens.logit[to] = own.x[id]!;
      lens.logProb[to] = own.x[id]! - logZ;
      lens.rank[to] = rankOf(own.x, id);
    }
    onProgress?.((start + count) / places);
  }
  // Cross entropies become divergences once the model's own entropy is known at each place.
  const finalRow = (streams.length - 1) * places;
  for (let row = 0; row < rows; row++) {
    lens.klToFinal[row] =
      row >= finalRow ? 0 : Math.max(0, lens.klToFinal[row]! - lens.entropy[finalRow + (row % places)]!);
  }
  return {
    labels: streams.map(({ label }) => label),
    batch,
    positions,
    topK: { k, ids: lens.ids, logits: lens.logits, logProbs: lens.logProbs },
    entropy: lens.entropy,
    klToFinal: lens.klToFinal,
    target: ids ? { logit: lens.logit, logProb: lens.logProb, rank: lens.rank } : null,
  };
}

/** Streams → logits, their softmax and the largest. */
function readingProgram(final: FinalRead, k: number): Program {
  const program = new LensProgram();
  const { vocab } = final;
  const logits = addLogits(program, final);
  const p = program.step('softmax', [logits], [program.value(['rows', vocab])]);
  const [values, indices] = [program.value(['rows', k]), program.value(['rows', k], 'i32')];
  program.step('top_k', [logits], [values, indices], { attrs: { k } });
  program.output('logits', logits);
  program.output('p', p);
  program.output('top', values);
  program.output('indices', indices);
  return program.build();
}

async function readRows(engine: Engine, program: Program, stream: Floats, rows: number, run: LensRun) {
  const out = await runLensProgram(engine, program, { sizes: { rows }, inputs: { stream } }, run);
  const floats = (name: string): Floats => {
    const data = out[name];
    if (data && !(data instanceof Int32Array)) return data;
    throw new CircuitscopeError('bad_program', `The executor gave no output ${name}.`, { at: name });
  };
  const { indices } = out;
  if (!(indices instanceof Int32Array)) {
    throw new CircuitscopeError('bad_program', 'The executor gave no output indices.', { at: 'indices' });
  }
  return { x: floats('logits'), p: floats('p'), top: floats('top'), indices };
}

const rowOf = (data: Floats, row: number, width: number): Floats => data.subarray(row * width, (row + 1) * width);

interface Row {
  readonly x: Floats;
  readonly p: Floats;
}

/** Both Σ −p log q of a row: with its own p (its entropy) and with the model's, in one pass. */
function compare({ x, p }: Row, model: Floats, logZ: number): { entropy: number; crossEntropy: number } {
  let own = 0;
  let others = 0;
  for (let id = 0; id < x.length; id++) {
    const surprise = logZ - x[id]!;
    own += p[id]! * surprise;
    others += model[id]! * surprise;
  }
  return { entropy: own, crossEntropy: others };
}

function entropyOf({ x, p }: Row, logZ: number): { entropy: number; crossEntropy: number } {
  let own = 0;
  for (let id = 0; id < x.length; id++) own += p[id]! * (logZ - x[id]!);
  return { entropy: own, crossEntropy: own };
}

function rankOf(x: Floats, id: number): number {
  const own = x[id]!;
  let rank = 0;
  for (let other = 0; other < id; other++) if (x[other]! >= own) rank += 1;
  for (let other = id + 1; other < x.length; other++) if (x[other]! > own) rank += 1;
  return rank;
}

/** Rows [stream, place] of some places, from one array per stream. */
function stack(
  streams: readonly (Floats | undefined)[],
  { start, count, width }: { readonly start: number; readonly count: number; readonly width: number },
): Floats {
  const size = count * width;
  const double = streams[0] instanceof Float64Array;
  const out = double ? new Float64Array(streams.length * size) : new Float32Array(streams.length * size);
  streams.forEach((stream, at) => {
    if (stream) out.set(stream.subarray(start * width, start * width + size), at * size);
  });
  return out;
}

function checkedTargets(
  target: readonly (readonly number[])[],
  { batch, positions, vocab }: { readonly batch: number; readonly positions: number; readonly vocab: number },
): Int32Array {
  const flat = target.flat();
  const bad = flat.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (target.length !== batch || target.some((row) => row.length !== positions) || bad !== undefined) {
    throw new CircuitscopeError(
      'bad_readout',
      `The lens reads one token of the vocabulary of ${vocab} at each of ${batch} × ${positions} positions; the targets given are others.`,
      {
        at: 'target',
        expected: `${batch} × ${positions} ids`,
        got: bad === undefined ? `${flat.length} ids` : String(bad),
      },
    );
  }
  return Int32Array.from(flat);
}
