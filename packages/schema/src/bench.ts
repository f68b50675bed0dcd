import { z } from 'zod';
import { BenchLoad, BenchMachine } from './bench-machine.ts';
import { CircuitscopeError } from './error.ts';
import { Estimate } from './estimate.ts';
import { parseStored } from './parse-stored.ts';
import { finite, index, list, maybe, name, record, table, text } from './shape.ts';

// A benchmark is a file of JSON lines: a run says where and how, results follow, an end says what the machine did
// meanwhile. A run that was resumed begins anew with a run of its own, so that each result lies under its machine.

/** Where and how the results below it were measured. */
export const BenchRun = record({
  kind: z.literal('bench_run'),
  version: z.literal(1),
  startedAt: z.iso.datetime(),
  tool: record({ version: name, commit: maybe(name), dirty: maybe(z.boolean()) }),
  machine: BenchMachine,
  before: BenchLoad,
  /** Seed of the order of blocks, of the data and of resampling. */
  seed: index,
  rounds: index,
  command: list(text, 4096),
});
export type BenchRun = z.infer<typeof BenchRun>;

/** Who computed. `loop` is the loop of fused multiply-adds that runs among the others, the peak at that very time. */
export const BenchImplementation = record({
  name,
  version: maybe(name),
  /** What was set, and what the program says of itself: threads, dispatch, library below it. */
  settings: table(text),
});
export type BenchImplementation = z.infer<typeof BenchImplementation>;

/** Against exact arithmetic in float64, on the same inputs. */
const accuracy = {
  /** The largest distance found. */
  maxError: finite.nonnegative(),
  /** The largest distance as a share of what rounding may do there: 1 is the limit. */
  ofBound: finite.nonnegative(),
  /** Outputs that were compared. */
  checked: index,
};

const summary = {
  samplesNs: list(finite.positive(), 1 << 16),
  medianNs: finite.positive(),
  /** From the first quartile to the third. */
  iqrNs: finite.nonnegative(),
  minNs: finite.positive(),
  flopsPerSecond: maybe(finite.nonnegative()),
  bytesPerSecond: maybe(finite.nonnegative()),
  /** Of the best of the loop with as many threads, measured before. */
  shareOfPeak: maybe(finite.nonnegative()),
  /** Of reading from memory with as many threads, measured before; above 1 where caches serve. */
  shareOfBandwidth: maybe(finite.nonnegative()),
  /** Of the loop in the same rounds: the ratio of medians, with the interval of its resamples by round. */
  shareOfLoop: maybe(Estimate),
  /** Time of each other implementation over the time of this one, in the same rounds; above 1 means this one is faster. */
  ratios: list(record({ against: name, estimate: Estimate }), 64),
};

/** A time exists only where the result was right. */
const outcome = z.discriminatedUnion('kind', [
  record({ kind: z.literal('timed'), ...accuracy, ...summary }),
  record({ kind: z.literal('wrong'), ...accuracy }),
  record({ kind: z.literal('failed'), reason: text }),
]);

/** One operation by one implementation. */
export const BenchResult = record({
  kind: z.literal('bench_result'),
  version: z.literal(1),
  /** Of the declared list: `sgemm-1024`. */
  operation: name,
  shape: name,
  dtype: name,
  implementation: BenchImplementation,
  threads: index,
  /** `hot`: run after run; `cold`: caches are walked over before each. */
  regime: z.enum(['hot', 'cold']),
  /** The processors that everybody who took part was tied to, as the system writes them: `0-1`. */
  cpus: maybe(name),
  /** Whether weights are brought into the layout of the kernel inside the time. */
  packing: z.enum(['inside', 'before', 'none']),
  output: z.enum(['fresh', 'reused']),
  flops: finite.nonnegative(),
  /** That must pass at least: each input and output once. */
  bytes: finite.nonnegative(),
  outcome,
  /** Rounds that were left out, since somebody else had the processor or its clock moved. */
  discarded: record({ steal: index, clock: index }),
});
export type BenchResult = z.infer<typeof BenchResult>;

export const BenchEnd = record({
  kind: z.literal('bench_end'),
  version: z.literal(1),
  endedAt: z.iso.datetime(),
  after: BenchLoad,
});
export type BenchEnd = z.infer<typeof BenchEnd>;

export const parseBenchRun = (value: unknown) => parseStored(BenchRun, 'bench_run', value);
export const parseBenchResult = (value: unknown) => parseStored(BenchResult, 'bench_result', value);
export const parseBenchEnd = (value: unknown) => parseStored(BenchEnd, 'bench_end', value);

/** A run with what was measured under it. `end` is absent where it was cut off. */
export interface BenchSection {
  readonly run: BenchRun;
  readonly results: readonly BenchResult[];
  readonly end?: BenchEnd;
}

/** The most characters of a file of results: 64 MiB. */
export const MAX_BENCH_TEXT = 1 << 26;

/**
 * Reads a file of results.
 * @param what names the file in errors
 * @throws CircuitscopeError `invalid_record`, with the line. A last line without its end is one that was cut off, and left out.
 */
export function parseBenchFile(content: string, what: string): readonly BenchSection[] {
  const refuse = (line: number, message: string) =>
    new CircuitscopeError(
      'invalid_record',
      `${what} is no file of benchmark results: line ${line}, ${message}. Files of circuitscope bench kernels --out are.`,
      { at: `line ${line}`, got: message },
    );
  if (content.length > MAX_BENCH_TEXT) throw refuse(1, `more than ${MAX_BENCH_TEXT} characters`);
  const sections: { run: BenchRun; results: BenchResult[]; end?: BenchEnd }[] = [];
  const lines = content.split('\n');
  lines.forEach((line, at) => {
    if (line.trim() === '') return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      if (at === lines.length - 1) return;
      throw refuse(at + 1, 'not JSON');
    }
    const kind: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'kind') : undefined;
    const issue = ({ path, message }: { readonly path: string; readonly message: string }) =>
      refuse(at + 1, path === '' ? message : `at ${path} ${message}`);
    if (kind === 'bench_run') {
      const parsed = parseBenchRun(value);
      if (!parsed.ok) throw issue(parsed.issues[0] ?? { path: '', message: 'unreadable' });
      sections.push({ run: parsed.value, results: [] });
      return;
    }
    const section = sections.at(-1);
    if (!section) throw refuse(at + 1, 'a run must come first');
    if (section.end) throw refuse(at + 1, 'something behind the end of a run');
    if (kind === 'bench_result') {
      const parsed = parseBenchResult(value);
      if (!parsed.ok) throw issue(parsed.issues[0] ?? { path: '', message: 'unreadable' });
      section.results.push(parsed.value);
    } else if (kind === 'bench_end') {
      const parsed = parseBenchEnd(value);
      if (!parsed.ok) throw issue(parsed.issues[0] ?? { path: '', message: 'unreadable' });
      section.end = parsed.value;
    } else throw refuse(at + 1, 'expected a bench_run, bench_result or bench_end');
  });
  if (sections.length === 0) throw refuse(1, 'no run in it');
  return sections;
}
