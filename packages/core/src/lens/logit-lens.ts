import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import type { Engine, Program, Prompt } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import { captureSites, type LensRun } from './capture-sites.ts';
import { type FinalRead, readFinal, streamSites } from './final-read.ts';
import { addFinalRead, addLogitsOf, LensProgram, runLensProgram } from './lens-program.ts';

// The logit lens (nostalgebraist 2020): the stream after each layer read as if it were the last, through the last norm with
// statistics of its own. The vocabulary passes by in tiles; no row of logits is ever whole.

export interface LogitLensOptions extends LensRun {
  readonly at: Pos;
  /** How many of the largest logits are kept; 1 if left out. */
  readonly topK?: number;
  /** A token per example and position [batch][position], whose logit, log probability and rank are read. */
  readonly target?: readonly (readonly number[])[];
  /** Also the stream between attention and MLP. */
  readonly mid?: boolean;
  /** Streams of about this many bytes are read in one call. */
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

const STREAM_BYTES = 8 * 2 ** 20;
/** What `vocab_statistics` gives of a row: log Σ exp, entropy, log probability and rank of the id, divergence. */
const STATISTICS = 5;

export async function logitLens(engine: Engine, prompt: Prompt, options: LogitLensOptions): Promise<LogitLens> {
  const { at, topK = 1, target, mid = false, bytesAtOnce = STREAM_BYTES, onProgress, ...run } = options;
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
  const program = readingProgram(final, k, ids !== null);
  const chunk = Math.max(1, Math.min(places, Math.floor(bytesAtOnce / (4 * final.width * streams.length))));
  for (let start = 0; start < places; start += chunk) {
    const count = Math.min(chunk, places - start);
    const part = { start, count, width: final.width };
    const stream = stack(
      streams.map(({ site }) => taken.get(site)?.data),
      part,
    );
    const last = stack([taken.get(final.stream)?.data], part);
    const asked = ids?.subarray(start, start + count);
    const wanted = asked ? repeated(asked, streams.length) : null;
    const inputs = { stream, last, ...(wanted ? { ids: wanted, columns: wanted } : {}) };
    const sizes = { rows: streams.length * count, places: count };
    const read = readOutputs(await runLensProgram(engine, program, { sizes, inputs }, run));
    for (let row = 0; row < sizes.rows; row++) {
      const to = Math.floor(row / count) * places + start + (row % count);
      const [logZ = 0, entropy = 0, logProb = 0, rank = 0, divergence = 0] = read.statistics.subarray(
        row * STATISTICS,
        (row + 1) * STATISTICS,
      );
      lens.entropy[to] = entropy;
      // The last stream is what the model says: it differs from itself by rounding alone.
      lens.klToFinal[to] = to >= rows - places ? 0 : divergence;
      for (let i = 0; i < k; i++) {
        lens.ids[to * k + i] = read.indices[row * k + i]!;
        lens.logits[to * k + i] = read.top[row * k + i]!;
        lens.logProbs[to * k + i] = read.top[row * k + i]! - logZ;
      }
      if (!read.logit) continue;
      lens.logit[to] = read.logit[row]!;
      lens.logProb[to] = logProb;
      lens.rank[to] = rank;
    }
    onProgress?.((start + count) / places);
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

/** Streams [rows, width], each held against the last stream of its place, row r against r mod places. */
function readingProgram(final: FinalRead, k: number, follow: boolean): Program {
  const program = new LensProgram();
  const { width, unembedding, bias, cap } = final;
  const x = addFinalRead(program, final, program.input('stream', ['rows', width]), 'rows');
  const last = addFinalRead(program, final, program.input('last', ['places', width]), 'places');
  const ids = follow ? program.input('ids', ['rows'], 'i32') : -1;
  const statistics = program.value(['rows', STATISTICS]);
  const [values, indices] = [program.value(['rows', k]), program.value(['rows', k], 'i32')];
  const params = [unembedding, bias];
  program.step('vocab_statistics', [x, ids, last], [statistics, values, indices], {
    params,
    attrs: { k, ...(cap ? { cap: cap.cap } : {}) },
  });
  program.output('statistics', statistics);
  program.output('top', values);
  program.output('indices', indices);
  if (follow) {
    const one = program.input('columns', ['rows', 1], 'i32');
    program.output('logit', addLogitsOf(program, final, x, one, 1));
  }
  return program.build();
}

function readOutputs(out: { readonly [output: string]: Floats | Int32Array }) {
  const floats = (name: string): Floats => {
    const data = out[name];
    if (data && !(data instanceof Int32Array)) return data;
    throw new CircuitscopeError('bad_program', `The executor gave no output ${name}.`, { at: name });
  };
  const { indices } = out;
  if (!(indices instanceof Int32Array)) {
    throw new CircuitscopeError('bad_program', 'The executor gave no output indices.', { at: 'indices' });
  }
  return {
    statistics: floats('statistics'),
    top: floats('top'),
    indices,
    logit: out.logit ? floats('logit') : null,
  };
}

function repeated(ids: Int32Array, times: number): Int32Array {
  const all = new Int32Array(ids.length * times);
  for (let time = 0; time < times; time++) all.set(ids, time * ids.length);
  return all;
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
