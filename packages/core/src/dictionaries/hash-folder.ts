import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Hash } from '@circuitscope/schema';
import { hashFile } from '../checkpoints/index.ts';
import { fileLength } from '../checkpoints/read-bytes.ts';

/** sha256 over `name length sha256` of the files, sorted by name, as a checkpoint's. */
export async function hashFolder(paths: readonly string[]): Promise<Hash> {
  const lines: string[] = [];
  for (const path of paths) lines.push(`${basename(path)} ${fileLength(path)} ${await hashFile(path)}\n`);
  return `sha256:${createHash('sha256').update(lines.sort().join('')).digest('hex')}`;
}
