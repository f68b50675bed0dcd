import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Circuit, type Hash, invalidRecord, parseCircuit } from '@circuitscope/schema';
import { digestJson, getRecord, resolveHash, type Workspace } from '@circuitscope/workspace';
import { readJsonFile } from '../../examine/read-json-file.ts';
import type { Io } from '../../io.ts';

/** True if the word names a file, else it is meant as a hash. */
export function namesFile(given: string, io: Io): boolean {
  return existsSync(resolve(io.cwd, given)) || /[/\\]|\.json$/.test(given);
}

/** The circuit of a hash in the workspace, or in a file: a record, or a document that has one as `circuit`. */
export function loadCircuit(
  given: string,
  workspace: Workspace,
  io: Io,
): { readonly circuit: Circuit; readonly hash: Hash } {
  if (!namesFile(given, io)) {
    const hash = resolveHash(workspace, given);
    return { circuit: getRecord(workspace, hash, parseCircuit), hash };
  }
  const value = readJsonFile(given, 'circuit', io);
  const holds =
    typeof value === 'object' && value !== null && Reflect.get(value, 'kind') !== 'circuit' && 'circuit' in value;
  const parsed = parseCircuit(holds ? value.circuit : value);
  if (!parsed.ok) throw invalidRecord(parsed.issues, `circuit in ${given}`);
  return { circuit: parsed.value, hash: digestJson(parsed.value) };
}
