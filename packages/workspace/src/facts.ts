import { readSafetensorsHeader } from '@circuitscope/core/checkpoints';
import {
  CircuitscopeError,
  type Hash,
  invalidRecord,
  isHash,
  parseRunRecord,
  type RunRecord,
} from '@circuitscope/schema';
import type { Ending } from './paths.ts';
import { parseJson, readSmallFile, readVerifiedJson, statFile } from './read-file.ts';

// What the catalogue says of a file, read from that file alone.

export interface ArtefactFacts {
  /** The record's own `kind`; `tensors` for a safetensors file. */
  readonly kind: string;
  /** The record's `name` or `id`, for people. */
  readonly name: string | null;
  readonly bytes: number;
}

/** Records are verified; of tensors the header is read, as they are verified when they are used. */
export function factsOfArtefact(path: string, hash: Hash, ending: Ending): ArtefactFacts {
  const bytes = statFile(path).size;
  if (ending === '.json') return { ...factsOfRecord(readVerifiedJson(path, hash), path), bytes };
  if (ending === '.safetensors')
    return { kind: 'tensors', name: readSafetensorsHeader(path).metadata.get('name')?.slice(0, 256) ?? null, bytes };
  throw new CircuitscopeError('bad_artefact', `${path} is neither a record nor tensors; remove it.`, { at: path });
}

export function factsOfRecord(record: unknown, at: string): Omit<ArtefactFacts, 'bytes'> {
  if (
    typeof record === 'object' &&
    record !== null &&
    'kind' in record &&
    typeof record.kind === 'string' &&
    record.kind !== ''
  ) {
    const named = [Reflect.get(record, 'name'), Reflect.get(record, 'id')].find(
      (value) => typeof value === 'string' && value !== '',
    );
    return { kind: record.kind.slice(0, 256), name: typeof named === 'string' ? named.slice(0, 256) : null };
  }
  throw new CircuitscopeError('bad_record', `A record is an object with a kind; ${at} is none.`, {
    at,
    expected: 'an object with a kind',
  });
}

/** The result that an action's file points at. */
export function readAction(path: string, key: Hash): Hash {
  const value = parseJson(readSmallFile(path), path);
  if (
    typeof value === 'object' &&
    value !== null &&
    'actionKey' in value &&
    value.actionKey === key &&
    'contentDigest' in value &&
    isHash(value.contentDigest)
  ) {
    return value.contentDigest;
  }
  throw new CircuitscopeError(
    'bad_artefact',
    `${path} names no result of its action; remove it and compute the result again.`,
    { at: path, expected: key },
  );
}

export function readRun(path: string, hash: Hash): RunRecord {
  const parsed = parseRunRecord(readVerifiedJson(path, hash));
  if (parsed.ok) return parsed.value;
  throw invalidRecord(parsed.issues, 'run');
}
