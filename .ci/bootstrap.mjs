/**
 * The one door of a checkout: `npm test`, `npm run demo` and their like all come through here, on plain Node ≥ 20. It
 * sets up what the command needs, then becomes that command: same terminal, same signals, same exit code.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { bun, env, root, setUp } from './setup.mjs';

const [command = 'test', ...rest] = process.argv.slice(2);
const cli = join(root, 'apps/cli/src/main.ts');

/** Runs until its end with our terminal; signals that reach us reach it. */
function become(program, args, options = {}) {
  const child = spawn(program, args, { cwd: root, env, stdio: 'inherit', ...options });
  const pass = (signal) => child.kill(signal);
  // A terminal sends Ctrl-C to the child as well: a second one would look like impatience.
  process.on('SIGINT', () => process.stdin.isTTY || pass('SIGINT'));
  process.on('SIGTERM', () => pass('SIGTERM'));
  process.on('SIGHUP', () => pass('SIGHUP'));
  // npm that is ended takes its shell with it but not us; without this a server would stay behind.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) setInterval(() => process.ppid === parent || pass('SIGTERM'), 500).unref();
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`${error.message}\n`);
      resolve(127);
    });
    child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

const commands = {
  async setup() {
    await setUp({ addon: true, pages: true });
    return 0;
  },
  async demo() {
    await setUp({ addon: true, pages: true });
    return become(bun, [cli, 'demo', '--serve', ...rest]);
  },
  async circuitscope() {
    await setUp({ addon: true });
    // Files that the user names are seen from where the user stands, which npm hides.
    return become(bun, [cli, ...rest], { cwd: process.env.INIT_CWD ?? process.cwd() });
  },
  async test() {
    await setUp({ addon: true, pages: true });
    return become(bun, ['.ci/test.ts', ...rest]);
  },
  async dev() {
    await setUp({ addon: true });
    return become(bun, ['--bun', 'vite', 'dev', ...rest], { cwd: join(root, 'apps/web') });
  },
  async bench() {
    await setUp({ addon: true });
    const folders = readdirSync(join(root, 'benchmarks')).filter((name) =>
      existsSync(join(root, 'benchmarks', name, 'bench.ts')),
    );
    const [question, ...args] = rest;
    if (!question) process.stdout.write(`npm run bench -- QUESTION; questions: ${folders.join(', ') || 'none yet'}\n`);
    if (!question) return 0;
    if (folders.includes(question)) return become(bun, [join('benchmarks', question, 'bench.ts'), ...args]);
    process.stderr.write(`no benchmark ${question}; there are: ${folders.join(', ') || 'none yet'}\n`);
    return 1;
  },
  async fix() {
    await setUp({});
    return become(bun, ['.ci/fix.ts', ...rest]);
  },
};

if (!Object.hasOwn(commands, command)) {
  process.stderr.write(`no command ${command}; there are: ${Object.keys(commands).join(', ')}\n`);
  process.exit(1);
}
process.exit(await commands[command]());
