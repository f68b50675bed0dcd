import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseExecutor } from '@circuitscope/core';
import { foreignLoad, processTimes } from '@circuitscope/core/bench';
import { saveRun } from '../save-run.ts';
import { type Compared, compareSides, type Sample } from './compare-sides.ts';
import { findPythons } from './pythons.ts';
import { randomCheckpoint } from './random-checkpoint.ts';
import { headOf, tableOf } from './report.ts';
import { type Program, programs, type Row, rows } from './rows.ts';
import { type Answer, type Ask, type Side, type Start, startSide, timeStart } from './side.ts';

// What researchers wait for, here and in the programs that they use: the same weights and prompts, in turns.

const THREADS = 2;
/** Threads that spin behind their work go to sleep. */
const PAUSE_MS = 300;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    peers: { type: 'string' },
    rounds: { type: 'string' },
    checkpoint: { type: 'string' },
    save: { type: 'boolean' },
  },
});
const listed = (text: string | undefined, known: readonly string[], what: string): readonly string[] => {
  const names = text?.split(',').filter(Boolean) ?? known;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return names;
  process.stderr.write(`no ${what} ${unknown}; there are: ${known.join(', ')}\n`);
  process.exit(1);
};
const names = rows.map(({ name }) => name);
const chosen = listed(options.only, names, 'row');
const wanted = listed(options.peers, programs, 'peer');
const pythons = findPythons();

const temporary = options.checkpoint ? null : mkdtempSync(join(tmpdir(), 'circuitscope-'));
const folder = options.checkpoint ?? temporary ?? '';
const task = join(folder, 'task.json');
if (!existsSync(task)) randomCheckpoint(folder);
const lines: string[] = [];
try {
  const { executor } = await chooseExecutor();
  process.stdout.write(headOf(executor.info, THREADS, pythons.length));
  for (const row of rows.filter(({ name }) => chosen.includes(name))) {
    const compared = await measure(row);
    process.stdout.write(tableOf(row, compared));
  }
} finally {
  if (temporary) rmSync(temporary, { recursive: true });
}
saveRun(import.meta.dirname, lines);

interface Player {
  readonly name: string;
  readonly way: string | null;
  readonly version: string;
  readonly own: boolean;
  readonly parts: number;
  readonly act: (ask: Ask) => Promise<Answer>;
}

async function measure(row: Row): Promise<Compared> {
  const sides: Side[] = [];
  try {
    const truth = await exactValues(row);
    const players = row.start ? await starters(row) : await gather(row, sides);
    const rounds = Number(options.rounds ?? row.rounds);
    const samples: Sample[] = [];
    const play = async (player: Player, round: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const part = Math.floor((Math.max(round, 0) * player.parts) / rounds);
      const [before, start] = [processTimes(), performance.now()];
      const answer = await player.act({ part, parts: player.parts, ...(player.way ? { way: player.way } : {}) });
      const load = foreignLoad(before, processTimes(), (performance.now() - start) / 1000);
      const others = load.reduce((sum, { processors }) => sum + processors, 0);
      if (round < 0) return;
      const { name, way, version, own, parts } = player;
      samples.push({ name, way, version, own, parts, round, others, answer });
      const { values: _, ...kept } = answer;
      const about = { question: 'runtime', row: row.name, side: name, way, version, part, parts, round, others };
      lines.push(JSON.stringify({ ...about, ...kept, threads: THREADS }));
    };
    const most = (player: Player): number => (player.own ? (row.ownRounds ?? rounds) : rounds);
    // The first time packs weights and faults pages in; a whole that is done once is long enough to show neither.
    for (const player of row.start ? [] : players) if (most(player) > 1) await play(player, -1);
    for (let round = 0; round < rounds; round++) {
      const turn = players.map((_, at) => players[(at + round) % players.length]);
      for (const player of turn) if (player && round < most(player)) await play(player, round);
    }
    return compareSides(row, samples, truth, rounds);
  } finally {
    for (const side of sides) side.stop();
  }
}

function ownStart(row: Row, sites: readonly string[], way?: string): Start {
  const script = join(import.meta.dirname, row.start ? 'start.ts' : 'answer.ts');
  const request = { row: row.name, folder, task, threads: THREADS, names: sites, way };
  return { command: [process.execPath, script], request };
}

function peerStart(row: Row, side: Program | 'float64', python: string, sites: readonly string[]): Start {
  const script = join(import.meta.dirname, '../peers/runtime/answer.py');
  return { command: [python, script], request: { side, row: row.name, folder, task, threads: THREADS, names: sites } };
}

/** Who is here for a program: of TransformerLens every version, of the others the first Python that has them. */
function pythonsOf(program: Program): readonly string[] {
  const module = program === 'torch-onednn' ? 'torch' : program;
  const found = pythons.filter(({ modules }) => modules.includes(module)).map(({ path }) => path);
  return !wanted.includes(program) ? [] : program === 'transformer_lens' ? found : found.slice(0, 1);
}

async function siteNames(): Promise<readonly string[]> {
  const { loadModel, requireDecoder, listSites } = await import('@circuitscope/core');
  const sites = listSites(requireDecoder(loadModel(folder)).graph).map(({ site }) => site);
  // Those that TransformerLens has too; it gives logits anyway, and no name to what norms give out.
  return sites.filter((site) => site !== 'logits' && !site.endsWith('.hook_out'));
}

async function gather(row: Row, sides: Side[]): Promise<Player[]> {
  const sites = row.name === 'captures' ? await siteNames() : [];
  const begin = async (of: Start): Promise<Side> => {
    const side = await startSide(of);
    sides.push(side);
    return side;
  };
  const own = await begin(ownStart(row, sites));
  const players: Player[] = (row.ways ?? [null]).map((way) => {
    return { name: 'circuitscope', way, version: own.version, own: true, parts: 1, act: own.ask };
  });
  for (const program of new Set(row.peers.map((peer) => peer.program))) {
    for (const python of pythonsOf(program)) {
      const side = await begin(peerStart(row, program, python, sites));
      for (const { way = null, parts = 1 } of row.peers.filter((peer) => peer.program === program))
        players.push({ name: program, way, version: side.version, own: false, parts, act: side.ask });
    }
  }
  return players;
}

/** Each time a new process: nobody is there before. */
async function starters(row: Row): Promise<Player[]> {
  const player = async (name: string, of: Start, way: string | null): Promise<Player> => {
    // Once before, so that files are in the page cache and the version is known.
    const { version } = await timeStart(of);
    return { name, way, version, own: name === 'circuitscope', parts: 1, act: () => timeStart(of) };
  };
  const players: Player[] = [];
  for (const way of row.ways ?? []) players.push(await player('circuitscope', ownStart(row, [], way), way));
  for (const { program } of row.peers)
    for (const python of pythonsOf(program))
      players.push(await player(program, peerStart(row, program, python, []), null));
  return players;
}

/** What float64 says of some of the values. */
async function exactValues(row: Row): Promise<Answer['values'] | null> {
  const [python] = pythonsOf('torch');
  if (!row.exact || python === undefined) return null;
  const side = await startSide(peerStart(row, 'float64', python, row.name === 'captures' ? await siteNames() : []));
  try {
    return (await side.ask({ part: 0, parts: row.exact.parts, way: '128 at a time' })).values;
  } finally {
    side.stop();
  }
}
