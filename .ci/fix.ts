/** `npm run fix`: everything that a machine can put right. Paths after it narrow the formatting down. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withoutHosts } from './locks.ts';

const root = join(import.meta.dirname, '..');
const paths = process.argv.slice(2);
const run = (command: string, args: readonly string[]) =>
  spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0;

const lock = join(root, 'bun.lock');
writeFileSync(lock, withoutHosts(readFileSync(lock, 'utf8')));
const tidy = run('biome', ['check', '--write', ...(paths.length > 0 ? paths : ['.'])]);
const manifest = join(root, 'native/Cargo.toml');
const formatted = !existsSync(manifest) || run('cargo', ['fmt', '--all', '--manifest-path', manifest]);
process.exit(tidy && formatted ? 0 : 1);
