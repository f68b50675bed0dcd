import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  benchOperations,
  type Contender,
  chosenOperations,
  machineFacts,
  ownKernel,
  ownPublic,
  ownScreened,
  resultKey,
  runBenchmarks,
} from '@circuitscope/core/bench';
import {
  type BenchResult,
  type BenchSection,
  CircuitscopeError,
  percentText,
  rateText,
  timeText,
} from '@circuitscope/schema';
import { workspaceDir } from '@circuitscope/workspace';
import { benchAppender, readBenchFile } from '../../bench/bench-file.ts';
import { peerContender } from '../../bench/peer-contender.ts';
import { type Peer, peerNames, peers, peersNamed } from '../../bench/peers.ts';
import { pinning } from '../../bench/pin-processors.ts';
import { benchAddon, endRun, startRun, threadCounts, watch } from '../../bench/prepare-bench.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import type { Io } from '../../io.ts';
import { badOption, flag, integer, list, shared, text, withDefault } from '../../options/index.ts';
import { note, numbers, print, progress, type Style, styleFor, table } from '../../output/index.ts';

export const kernels = command({
  summary: 'time the kernels on a declared list of shapes, beside each other, checked against float64',
  details: `Those who can do an operation take turns, in an order drawn anew each round, together with the loop of multiply-adds that is the peak at that very time. Blocks during which the hypervisor took time away or the clock moved by more than 3 % are discarded, counted and repeated. Medians come with quartile distances, ratios with bootstrap intervals over rounds. A result that is not right has no time. Everybody is tied to as many processors as there are threads where the system has taskset, and variables that steer linear algebra libraries are unset for the others.

With --peers other programs take part, each in a process of its own, none of them needed otherwise: numpy, torch and torch-onednn from the Python that CIRCUITSCOPE_PYTHON names; onnxruntime where CIRCUITSCOPE_ONNXRUNTIME names a folder in which npm install onnxruntime-node was run; the crates gemm, matrixmultiply and gemmkit once cargo build --release --locked was run in benchmarks/peers/crates.

Operations: ${benchOperations.map(({ name }) => name).join(', ')}.

With --out or --keep each result is appended as a JSON line when it is there; with --out the same command goes on where a run was cut off.`,
  options: {
    only: list('NAME,…', 'only these operations, or those that begin so: sgemm, project-128'),
    threads: list('N,N', 'numbers of threads (default: 1, and one per core)'),
    peers: list('NAME,…', `programs to compare with: ${peerNames.join(', ')}; or all, for those that are here`),
    rounds: withDefault(integer('N', 'rounds of turns', { min: 2, max: 1000 }), 12),
    seed: shared.seed,
    roofs: flag('also measure every cache and instruction set, for a roofline'),
    out: text('FILE', 'append results to this file of JSON lines'),
    keep: flag('append them to a file of the workspace, where the dashboard finds them'),
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope bench kernels --out run.jsonl', about: 'everything, some minutes' },
    { line: 'circuitscope bench kernels --only project-1024 --threads 1', about: 'one operation' },
    { line: 'circuitscope bench kernels --peers all --out run.jsonl', about: 'beside every peer that is here' },
    { line: 'circuitscope bench kernels --only gemv --peers torch,gemmkit', about: 'beside two of them' },
    { line: 'circuitscope bench kernels --peers all --roofs --keep', about: 'for the dashboard' },
    { line: 'circuitscope bench kernels --only sgemm --json > sgemm.json', about: 'for another program' },
  ],
  run: async (options, io, line) => {
    const operations = chosenOperations(options.only);
    if (options.keep && options.out !== undefined)
      throw badOption('--keep', 'without --out, since either names a file', options.out);
    const addon = await benchAddon(io);
    const threads = threadCounts(options.threads, addon);
    const earlier =
      options.out !== undefined && existsSync(resolve(io.cwd, options.out)) ? readBenchFile(options.out, io) : [];
    const { flags } = machineFacts(addon.info(), io.env).cpu;
    const contenders: Contender[] = [
      ownKernel(addon, 'before'),
      ownKernel(addon, 'inside'),
      ownScreened(addon, 'bf16', flags),
      ownScreened(addon, 'int8', flags),
      ownPublic(addon),
      ...(await peersOf(options.peers, io)),
    ];
    const results: BenchResult[] = [];
    const section = await (async (): Promise<BenchSection> => {
      using bar = progress(io, 'measuring the machine');
      using pinned = pinning();
      const since = watch();
      const run = await startRun(io, {
        addon,
        threads,
        full: options.roofs,
        seed: options.seed,
        rounds: options.rounds,
        line,
        onProgress: (share, what) => bar.update(share / 20, what),
      });
      const done = doneBefore(earlier, run.machine.fingerprint);
      const path = options.keep ? keptPath(run.startedAt, options.workspace, io) : options.out;
      const append = benchAppender(path, io);
      append(run);
      if (options.keep) note(io, `Kept in ${path}`);
      await runBenchmarks({
        addon,
        machine: run.machine,
        operations,
        contenders,
        threads,
        rounds: options.rounds,
        seed: options.seed,
        signal: io.signal,
        pin: pinned.pin,
        isDone: (key) => done.has(key),
        onResult: (result) => {
          results.push(result);
          append(result);
        },
        onProgress: (share, what) => bar.update(0.05 + 0.95 * share, what),
      });
      const end = await endRun(io, addon, since);
      append(end);
      return { run, results, end };
    })();
    const others = othersText(section);
    if (others !== '' && results.length > 0) note(io, others);
    if (results.length === 0 && earlier.length > 0)
      note(io, `${options.out} holds all of it already; choose another file to measure again.`);
    const document = {
      kind: 'bench_kernels',
      version: 1,
      run: documentOf(section.run),
      results: results.map((result) => documentOf(result)),
    };
    print(io, options, document, () => resultsText(results, styleFor(io)));
  },
});

/** In the workspace, by when it began. */
function keptPath(startedAt: string, workspace: string | undefined, { env, cwd }: Io): string {
  const folder = join(workspaceDir({ dir: workspace, env, cwd }), 'bench');
  mkdirSync(folder, { recursive: true });
  return join(folder, `${startedAt.replaceAll(':', '-')}.jsonl`);
}

/** A peer that is named must be here; of all of them, those that are not are told and left out. */
async function peersOf(given: readonly string[] = [], io: Io): Promise<readonly Contender[]> {
  const contenders: Contender[] = [];
  if (given.includes('all')) {
    for (const peer of peers) {
      try {
        contenders.push(await peerContender(peer, io));
      } catch (error) {
        if (!(error instanceof CircuitscopeError)) throw error;
        note(io, error.message);
      }
    }
    return contenders;
  }
  const wanted = given.flatMap((word): readonly Peer[] => {
    const found = peersNamed(word);
    if (found.length > 0) return found;
    throw badOption('--peers', `some of ${peerNames.join(', ')}, or all`, word);
  });
  for (const peer of new Set(wanted)) contenders.push(await peerContender(peer, io));
  return contenders;
}

/** What may have disturbed the run, in a sentence; empty where nothing is known to. */
function othersText({ run, end }: BenchSection): string {
  const foreign = end?.after.foreign ?? [];
  const load = [run.before.loadAverage, end?.after.loadAverage].map((value) => value ?? '?').join(' before, ');
  if (foreign.length === 0) return '';
  const named = foreign.slice(0, 5).map(({ name, processors }) => `${name} ${numbers.fixed(processors, 2)}`);
  return `Others computed meanwhile (load average ${load} after; processors each took): ${named.join(', ')}.`;
}

/** What an earlier run on the same machine has a time for. */
function doneBefore(sections: readonly BenchSection[], fingerprint: string): ReadonlySet<string> {
  return new Set(
    sections
      .filter(({ run }) => run.machine.fingerprint === fingerprint)
      .flatMap(({ results }) => results)
      .filter(({ outcome }) => outcome.kind === 'timed')
      .map((result) => resultKey({ ...result, name: result.implementation.name })),
  );
}

function resultsText(results: readonly BenchResult[], style: Style): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    { title: 'operation' },
    { title: 'by' },
    right('threads'),
    { title: 'caches' },
    right('median'),
    right('IQR'),
    right('rate'),
    right('of loop'),
    right('of memory'),
    right('left out'),
  ];
  const rows = results.map(({ operation, implementation, threads, regime, outcome, discarded }) => {
    const start = [operation, implementation.name, String(threads), regime];
    if (outcome.kind === 'wrong') return [...start, style.bad('wrong result')];
    if (outcome.kind === 'failed') return [...start, style.bad('failed'), outcome.reason];
    const lost = discarded.steal + discarded.clock;
    return [
      ...start,
      timeText(outcome.medianNs),
      timeText(outcome.iqrNs),
      rateText(outcome.flopsPerSecond, 'FLOP') || rateText(outcome.bytesPerSecond, 'B'),
      percentText(outcome.shareOfLoop?.value ?? outcome.shareOfPeak),
      percentText(outcome.shareOfBandwidth),
      lost > 0 ? String(lost) : '',
    ];
  });
  return table(columns, rows, style);
}
