/**
 * `npm test`: every check of the repository, the quick ones first. Single tests are counted, not commands; what was
 * skipped is printed with its reason and what failed with enough to act on. The last line is
 * `N passed, N failed, N skipped`. Words after `npm test --` choose the checks whose name holds one of them.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wrongsOfLocks } from './locks.ts';
import type { TestReport } from './report.ts';

const root = join(import.meta.dirname, '..');
const at = (...parts: readonly string[]) => join(root, ...parts);
const bun = process.execPath;
const temporary = mkdtempSync(join(tmpdir(), 'circuitscope-test-'));
const shared = process.env.CIRCUITSCOPE_SHARED ?? at('../shared');
const dataIsHere = existsSync(join(shared, 'data'));

interface Outcome {
  passed: number;
  readonly failed: { name: string; output: string }[];
  readonly skipped: { name: string; reason: string }[];
}

interface Check {
  readonly name: string;
  readonly run: () => Outcome | Promise<Outcome>;
}

const passed = (count: number): Outcome => ({ passed: count, failed: [], skipped: [] });
const failed = (name: string, output: string): Outcome => ({ passed: 0, failed: [{ name, output }], skipped: [] });
const skipped = (name: string, reason: string): Outcome => ({ passed: 0, failed: [], skipped: [{ name, reason }] });

interface Ended {
  readonly status: number;
  readonly output: string;
}

function command(program: string, args: readonly string[], cwd = root, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', CARGO_TERM_COLOR: 'never', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', (error) => resolve({ status: 127, output: error.message }));
    child.on('close', (status, signal) =>
      resolve({ status: status ?? 1, output: output + (signal ? `\n${signal}` : '') }),
    );
  });
}

/** A command that either succeeds, as one test, or fails with what it said. */
const one = (name: string, program: string, args: readonly string[], cwd?: string, env?: NodeJS.ProcessEnv): Check => ({
  name,
  async run() {
    const { status, output } = await command(program, args, cwd, env);
    return status === 0 ? passed(1) : failed(name, output);
  },
});

const reads = (reason: string) => /\bdata\b|shared|golden|CIRCUITSCOPE_SHARED/i.test(reason);

/** A skip needs a reason; and where the data lies, a test that wants it has no excuse. */
function judge(report: TestReport, prefix: string): Outcome {
  const outcome = passed(report.passed);
  for (const { name, output } of report.failed) outcome.failed.push({ name: `${prefix} ${name}`, output });
  for (const { name, reason } of report.skipped) {
    const full = `${prefix} ${name}`;
    if (reason === undefined) outcome.failed.push({ name: full, output: 'skipped without a reason' });
    else if (dataIsHere && reads(reason))
      outcome.failed.push({ name: full, output: `skipped though ${shared} is here: ${reason}` });
    else outcome.skipped.push({ name: full, reason });
  }
  return outcome;
}

/** Whether a folder holds a test; generated and foreign folders do not count. */
function hasTests(folder: string): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { withFileTypes: true }).some((entry) => {
    if (entry.isDirectory())
      return !/^(node_modules|target|dist|build|e2e|\..*)$/.test(entry.name) && hasTests(join(folder, entry.name));
    return entry.name.endsWith('.test.ts');
  });
}

let reports = 0;

const vitest = (name: string, cwd: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Check => ({
  name,
  async run() {
    const file = join(temporary, `${reports++}.json`);
    const { status, output } = await command(
      bun,
      ['--bun', at('node_modules/vitest/vitest.mjs'), 'run', `--reporter=${at('.ci/report.ts')}`, ...args],
      cwd,
      { ...env, CIRCUITSCOPE_TEST_REPORT: file },
    );
    if (!existsSync(file)) return failed(name, output);
    const report: TestReport = JSON.parse(readFileSync(file, 'utf8'));
    const outcome = judge(report, name);
    if (status !== 0 && outcome.failed.length === 0) outcome.failed.push({ name, output });
    return outcome;
  },
});

/** Reads libtest's lines: the counts of each binary, the ignored with their reasons, the failed with their output. */
function readCargo(name: string, { status, output }: Ended): Outcome {
  const outcome = passed(0);
  for (const [, count] of output.matchAll(/^test result: \w+\. (\d+) passed;/gm)) outcome.passed += Number(count);
  for (const [, test, reason] of output.matchAll(/^test (.+?) \.\.\. ignored(?:, (.+))?$/gm)) {
    if (reason) outcome.skipped.push({ name: `${name} ${test}`, reason });
    else outcome.failed.push({ name: `${name} ${test}`, output: 'ignored without a reason' });
  }
  const told = new Map(
    [...output.matchAll(/^---- (.+?) stdout ----\n([\s\S]*?)(?=^---- |^failures:$)/gm)].map((m) => [m[1], m[2]]),
  );
  for (const [, test] of output.matchAll(/^test (.+?) \.\.\. FAILED$/gm)) {
    outcome.failed.push({ name: `${name} ${test}`, output: told.get(test) ?? '' });
  }
  if (status !== 0 && outcome.failed.length === 0) outcome.failed.push({ name, output });
  return outcome;
}

const folders = [
  ...['packages', 'apps'].flatMap((parent) => readdirSync(at(parent)).map((name) => `${parent}/${name}`)),
  'native',
  'benchmarks',
].filter((folder) => existsSync(at(folder, 'package.json')));
const short = (folder: string) => folder.replace(/^.*\//, '');

/** The packages whose Svelte files only svelte-check reads. */
const svelte = ['packages/views', 'apps/web'];
/** A package with something to check; one that is still empty has only its settings. */
const hasSources = (folder: string): boolean => {
  const source = existsSync(at(folder, 'src')) ? at(folder, 'src') : at(folder);
  if (/^(packages|apps)\//.test(folder) && source === at(folder)) return false;
  return readdirSync(source, { recursive: true })
    .map(String)
    .some((file) => /\.(ts|svelte)$/.test(file) && !/node_modules|\.config\.ts$/.test(file));
};

function checksOfRust(): readonly Check[] {
  if (!existsSync(at('native/Cargo.toml'))) return [];
  const cargo = (name: string, args: readonly string[]): Check => ({
    name,
    async run() {
      if (Bun.which('cargo') === null) return skipped(name, 'Rust is missing (no cargo on the PATH)');
      const ended = await command('cargo', args, at('native'));
      if (args[0] === 'test') return readCargo(name, ended);
      const missing = /no such command|is not installed/.test(ended.output);
      if (missing) return skipped(name, `this Rust has no cargo ${args[0]}`);
      return ended.status === 0 ? passed(1) : failed(name, ended.output);
    },
  });
  return [
    cargo('cargo fmt', ['fmt', '--all', '--check']),
    cargo('cargo test', ['test', '-p', 'circuitscope-kernels', '--locked']),
    cargo('cargo clippy', ['clippy', '--workspace', '--all-targets', '--locked', '--quiet', '--', '-D', 'warnings']),
  ];
}

const checksOfTypes = (): readonly Check[] => [
  ...['.ci', ...folders]
    .filter((folder) => !svelte.includes(folder) && hasSources(folder))
    .map((folder) => one(`tsc ${short(folder)}`, at('node_modules/.bin/tsc'), ['-p', folder])),
  ...svelte
    .filter(hasSources)
    .map((folder): Check => one(`svelte-check ${short(folder)}`, bun, ['run', 'check'], at(folder))),
];

/** The real Deno binary: the package's own `deno` is a wrapper that leaves it running when it is ended. */
function denoBinary(): string | undefined {
  const machine = `${process.platform}-${process.arch}`;
  const name = `@deno/${machine}${process.platform === 'linux' ? '-glibc' : ''}`;
  try {
    const wrapper = createRequire(at('package.json')).resolve('deno/package.json');
    const folder = join(createRequire(wrapper).resolve(`${name}/package.json`), '..');
    return join(folder, process.platform === 'win32' ? 'deno.exe' : 'deno');
  } catch {
    return undefined;
  }
}

const node24 = at('node_modules/.bin/node');

function checksOfRuntimes(): readonly Check[] {
  const smoke = 'native/smoke.mjs';
  const addon = at('native', `circuitscope.${process.platform}-${process.arch}.node`);
  const runtimes = [
    { name: 'Bun', program: bun, args: [] },
    {
      name: 'Node 24',
      program: existsSync(node24) ? node24 : undefined,
      args: ['--disable-warning=ExperimentalWarning'],
    },
    {
      name: 'Deno',
      program: denoBinary(),
      args: ['run', '--no-lock', '--no-prompt', '--allow-ffi', '--allow-read', '--allow-env'],
    },
  ];
  const checks: Check[] = !existsSync(at(smoke))
    ? []
    : runtimes.map(({ name, program, args }) => ({
        name: `addon in ${name}`,
        run() {
          if (!program)
            return skipped(`addon in ${name}`, `there is no ${name} for ${process.platform}-${process.arch}`);
          if (!existsSync(addon)) {
            if (Bun.which('cargo') === null)
              return skipped(`addon in ${name}`, 'Rust is missing, so there is no addon');
            return failed(`addon in ${name}`, 'the addon did not build; .cache/addon.log says why');
          }
          return one(`addon in ${name}`, program, [...args, smoke], root, { DENO_NO_PACKAGE_JSON: '1' }).run();
        },
      }));
  if (existsSync(at('packages/core/src/index.ts'))) {
    const script = `import('./packages/core/src/index.ts').then((core) => process.exit(Object.keys(core).length > 0 ? 0 : 1))`;
    const name = 'core in Node 24 through tsx';
    const check = one(name, node24, ['--import', 'tsx', '--eval', script]);
    checks.push(
      existsSync(node24) ? check : { name, run: () => skipped(name, 'there is no Node 24 for this platform') },
    );
  }
  return checks;
}

function checksInBrowser(): readonly Check[] {
  const candidates = [process.env.CIRCUITSCOPE_CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'];
  const chromium = candidates.map((name) => (name ? Bun.which(name) : null)).find((path) => path !== null);
  return svelte
    .filter((folder) => hasTests(at(folder, 'e2e')))
    .map((folder) => {
      const name = `chromium ${short(folder)}`;
      if (!chromium)
        return { name, run: () => skipped(name, 'there is no Chromium on this machine (.ci/run installs it)') };
      const args = ['--config', at('.ci/vitest.e2e.config.ts'), '--root', '.'];
      return vitest(name, at(folder), args, { CIRCUITSCOPE_CHROMIUM: chromium });
    });
}

const biome: Check = {
  name: 'biome',
  async run() {
    const { status, output } = await command(at('node_modules/.bin/biome'), ['check', '--error-on-warnings', '.']);
    const missing = /isn't compatible|isn't available|Cannot find module|ENOENT/.test(output);
    if (status !== 0 && missing) return skipped('biome', 'there is no Biome binary for this platform');
    return status === 0 ? passed(1) : failed('biome', output);
  },
};

const locks: Check = {
  name: 'lock files',
  run() {
    const wrongs = wrongsOfLocks(root);
    return wrongs.length === 0 ? passed(1) : failed('lock files', wrongs.join('\n'));
  },
};

/** What the set-up before us tried to build. A machine without Rust has no addon, and that is no failure. */
const built = (name: string): Check => ({
  name: `${name} built`,
  run() {
    const log = at('.cache', `${name}.log`);
    if (!existsSync(log)) return passed(1);
    const said = readFileSync(log, 'utf8');
    return said.startsWith('Rust is missing') ? skipped(`${name} built`, said) : failed(`${name} built`, said);
  },
});

/** Groups run one after the other; inside a group so many at once as its width says. */
const groups: readonly { readonly width: number; readonly checks: readonly Check[] }[] = [
  { width: 1, checks: [built('addon'), built('pages'), locks, biome, vitest('import rules', at('.ci'))] },
  // Cargo builds with all cores; beside it runs what waits for one.
  { width: 2, checks: [...checksOfRust(), ...checksOfTypes()] },
  // Some tests hold times, so each package has the machine for itself.
  {
    width: 1,
    checks: folders
      .filter((folder) => hasTests(at(folder)))
      .map((folder) => vitest(`vitest ${short(folder)}`, at(folder))),
  },
  { width: 1, checks: [...checksOfRuntimes(), ...checksInBrowser()] },
];

const chosen = process.argv.slice(2);
const wanted = ({ name }: Check) => chosen.length === 0 || chosen.some((word) => name.includes(word));

const total = passed(0);
if (!groups.some(({ checks }) => checks.some(wanted))) {
  const names = groups.flatMap(({ checks }) => checks.map(({ name }) => name));
  total.failed.push({ name: `no check is named like ${chosen.join(' ')}`, output: `there are: ${names.join(', ')}` });
}

async function settle(check: Check): Promise<void> {
  const start = performance.now();
  const outcome = await Promise.resolve()
    .then(check.run)
    .catch((error: unknown) =>
      failed(check.name, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(6);
  const counts = [
    `${outcome.passed} passed`,
    outcome.failed.length > 0 ? `${outcome.failed.length} failed` : '',
    outcome.skipped.length > 0 ? `${outcome.skipped.length} skipped` : '',
  ].filter(Boolean);
  console.log(
    `${outcome.failed.length > 0 ? 'FAIL' : 'ok  '} ${check.name.padEnd(28)} ${seconds} s  ${counts.join(', ')}`,
  );
  total.passed += outcome.passed;
  total.failed.push(...outcome.failed);
  total.skipped.push(...outcome.skipped);
}

for (const { width, checks } of groups) {
  const queue = checks.filter(wanted);
  const lane = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await settle(next);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
rmSync(temporary, { recursive: true, force: true });

const mostLines = 60;
const shorten = (output: string) => {
  const lines = output.trim().split('\n');
  return lines.length <= mostLines
    ? lines
    : [...lines.slice(0, mostLines / 2), `… ${lines.length - mostLines} lines …`, ...lines.slice(-mostLines / 2)];
};

if (total.failed.length > 0) console.log('\nfailed:');
for (const { name, output } of total.failed) {
  console.log([`  ${name}`, ...shorten(output).map((line) => `      ${line}`)].join('\n'));
}
if (total.skipped.length > 0) console.log('\nskipped:');
for (const { name, reason } of total.skipped) console.log(`  ${name}: ${reason}`);
console.log(`\n${total.passed} passed, ${total.failed.length} failed, ${total.skipped.length} skipped`);
process.exit(total.failed.length > 0 ? 1 : 0);
