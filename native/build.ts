/**
 * Builds the addon for this machine: `cargo build --release`, then the library under the name that index.ts loads.
 * Cargo itself says which file it made, so neither the crate's name nor the target folder is written down twice.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, renameSync, rmSync } from 'node:fs';

const addon = new URL(`circuitscope.${process.platform}-${process.arch}.node`, import.meta.url);

const cargo = spawnSync(
  'cargo',
  ['build', '--release', '--locked', '--manifest-path', 'addon/Cargo.toml', '--message-format=json-render-diagnostics'],
  { cwd: new URL('.', import.meta.url), stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 28 },
);
if (cargo.error || cargo.status !== 0) {
  // An addon older than its source would compute with old numerics and say nothing.
  rmSync(addon, { force: true });
  process.exit(cargo.status || 1);
}

interface Message {
  readonly reason: string;
  readonly target?: { readonly crate_types: readonly string[]; readonly name: string };
  readonly filenames?: readonly string[];
}

const library = cargo.stdout
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line): Message => JSON.parse(line))
  .filter((message) => message.reason === 'compiler-artifact' && message.target?.crate_types.includes('cdylib'))
  .flatMap((message) => message.filenames ?? [])
  .find((file) => /\.(so|dylib|dll)$/.test(file));
if (!library) {
  console.error('cargo built no dynamic library; the addon crate needs crate-type = ["cdylib"]');
  process.exit(1);
}

// Renamed into place: a process that has the old file open keeps it, and none sees half a file.
const fresh = new URL(`${addon.href}.fresh`);
copyFileSync(library, fresh);
renameSync(fresh, addon);
