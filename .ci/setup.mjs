/**
 * What a checkout needs before anything of it can run, on plain Node ≥ 20: the pinned Bun (through npm), the
 * dependencies, the addon and the pages. Every step is skipped while the hash of what it reads is the one of its last
 * success, and says one line on stderr when it does something.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const cache = at('.cache');

/** npm exports its own settings to its children; of those only where to download from may reach the tools. */
const ofNpm = /^npm_(config_(?!registry$|cache$|cafile$|.*proxy$)|lifecycle|package|node_execpath|execpath|command)/i;

export const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofNpm.test(name))),
  PATH: [at('.ci/bun/node_modules/.bin'), at('node_modules/.bin'), process.env.PATH].join(delimiter),
  DENO_NO_UPDATE_CHECK: '1',
  DO_NOT_TRACK: '1',
  TURBO_TELEMETRY_DISABLED: '1',
};

export const bun = at('.ci/bun/node_modules/bun/bin/bun.exe');
export const addon = at('native', `circuitscope.${process.platform}-${process.arch}.node`);

const say = (line) => process.stderr.write(`${line}\n`);

/** Runs a command to its end; its output is kept, for it matters only if it fails. */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
      });
    }
    child.on('error', (error) => resolve({ status: 127, output: String(error) }));
    child.on('close', (status) => resolve({ status: status ?? 1, output }));
  });
}

/** Every file under a path (or the file itself) that decides what a build makes, in a fixed order. */
function* filesUnder(path) {
  if (!existsSync(at(path))) return;
  const entries = readdirSync(at(path), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (/^(node_modules|target|dist|build|\.svelte-kit|\.turbo|.*\.(node|fresh))$/.test(entry.name)) continue;
    if (entry.isDirectory()) yield* filesUnder(join(path, entry.name));
    else if (entry.isFile()) yield join(path, entry.name);
  }
}

function hashOf(files, salt) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${salt}`);
  for (const file of files) if (existsSync(at(file))) hash.update(`\0${file}\0`).update(readFileSync(at(file)));
  return hash.digest('hex');
}

/**
 * Does `work` unless its inputs are those of the last success and its result is still there. `work` returns the output
 * of what failed, or nothing.
 */
async function once({ name, inputs, results, salt = '' }, work) {
  const stamp = join(cache, `${name}.stamp`);
  const wanted = hashOf(inputs, salt);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && results.every(existsSync)) return undefined;
  rmSync(stamp, { force: true });
  const start = performance.now();
  const failure = await work();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (failure !== undefined) return failure;
  mkdirSync(cache, { recursive: true });
  writeFileSync(stamp, wanted);
  say(`setup: ${name} in ${seconds} s`);
  return undefined;
}

/** The output of a command that failed, or nothing. */
async function failureOf(command, args, options) {
  const { status, output } = await capture(command, args, options);
  return status === 0 ? undefined : output.trim() || `${command} ended with ${status}`;
}

function stop(what, output) {
  say(output);
  say(`setup: ${what}`);
  process.exit(1);
}

/** The pinned Bun, held by integrity in .ci/bun/package-lock.json. */
async function bringBun() {
  const inputs = ['.ci/bun/package.json', '.ci/bun/package-lock.json'];
  const args = ['ci', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error'];
  // npm is a script on Windows, and only a shell finds those.
  const options = { cwd: at('.ci/bun'), shell: process.platform === 'win32' };
  const failure = await once({ name: 'bun', inputs, results: [bun] }, () => failureOf('npm', args, options));
  if (failure !== undefined) stop('npm could not bring Bun; it needs the npm registry or a warm npm cache.', failure);
}

/** Isolated on purpose: a hoisted tree would hand the root's TypeScript 7 to SvelteKit, which cannot use it. */
async function bringDependencies() {
  const members = ['packages', 'apps'].flatMap((folder) =>
    readdirSync(at(folder)).map((name) => join(folder, name, 'package.json')),
  );
  const inputs = ['package.json', 'bun.lock', 'native/package.json', 'benchmarks/package.json', ...members.sort()];
  const args = ['install', '--frozen-lockfile', '--linker=isolated'];
  const failure = await once({ name: 'dependencies', inputs, results: [at('node_modules/.bin/turbo')] }, () =>
    failureOf(bun, args),
  );
  if (failure !== undefined) stop('bun could not install the dependencies that bun.lock names.', failure);
}

const hasCargo = async () => (await capture('cargo', ['--version'])).status === 0;

/** Keeps what a failed build said where the user and `npm test` find it; a success takes it away. */
function keep(name, failure) {
  mkdirSync(cache, { recursive: true });
  if (failure === undefined) rmSync(join(cache, `${name}.log`), { force: true });
  else writeFileSync(join(cache, `${name}.log`), failure);
}

/** The addon. Without it the reference executor serves, slower and with the same results within its bound. */
async function buildAddon() {
  const inputs = [...filesUnder('native')].filter((file) => !/\.(md|test\.ts|mjs)$/.test(file));
  if (!inputs.some((file) => file.endsWith('Cargo.toml'))) return;
  const salt = [process.env.CARGO_BUILD_TARGET, process.env.RUSTFLAGS].join(' ');
  let rust = true;
  const failure = await once({ name: 'addon', inputs, results: [addon], salt }, async () => {
    rust = await hasCargo();
    return rust ? failureOf(bun, ['native/build.ts']) : 'Rust is missing: there is no cargo on the PATH.';
  });
  keep('addon', failure);
  if (failure === undefined) return;
  // An addon older than its source would compute with old numerics and say nothing.
  rmSync(addon, { force: true });
  say(
    rust
      ? 'setup: the addon did not build (.cache/addon.log says why), so the reference executor serves instead.'
      : 'setup: Rust is missing (no cargo on the PATH), so the reference executor serves instead of the addon.',
  );
}

/** The views as custom elements and the dashboard. Turbo knows which sources each is made of. */
async function buildPages() {
  if (!existsSync(at('apps/web/vite.config.ts'))) return;
  const inputs = [...filesUnder('packages'), ...filesUnder('apps/web'), 'turbo.json', 'tsconfig.base.json', 'bun.lock'];
  const sources = inputs.filter((file) => !/\.(md|test\.ts)$|\be2e\b|fixtures/.test(file));
  const packages = ['--filter=@circuitscope/views', '--filter=@circuitscope/web'];
  const results = [at('apps/web/build/index.js'), at('packages/views/dist')];
  const failure = await once({ name: 'pages', inputs: sources, results }, () =>
    failureOf(at('node_modules/.bin/turbo'), ['run', 'build', ...packages, '--output-logs=errors-only']),
  );
  keep('pages', failure);
  if (failure !== undefined) say('setup: the pages did not build (.cache/pages.log says why).');
}

/**
 * @param {{ pages?: boolean, addon?: boolean }} parts what is wanted beyond Bun and the dependencies. A part that does
 * not build is said aloud and left out; whether that is an error is for the caller to say.
 */
export async function setUp(parts) {
  await bringBun();
  await bringDependencies();
  await Promise.all([parts.addon && buildAddon(), parts.pages && buildPages()]);
}
