import { existsSync } from 'node:fs';
import { CircuitscopeError, canonicalJson, type Hash, invalidRecord, type Parsed } from '@circuitscope/schema';
import { addAction, addArtefact, addKept } from './catalogue.ts';
import { factsOfRecord, readAction } from './facts.ts';
import { pathOf } from './paths.ts';
import { digestBytes, readVerifiedJson } from './read-file.ts';
import type { Workspace } from './workspace.ts';
import { touch, writeDurably } from './write-durably.ts';

export interface PutOptions {
  /** The question that this record answers: whoever asks it again finds the record. */
  readonly actionKey?: Hash;
  /** Whether garbage collection spares it for its own sake. Without an action key that is so unless said otherwise. */
  readonly keep?: boolean;
}

export interface Put {
  readonly hash: Hash;
  /** The result that the same action had before, where it had another one: the work is then not reproducible. */
  readonly replaced: Hash | null;
}

/**
 * Stores a record (any JSON value with a `kind`) under the hash of its canonical text: equal records are one file.
 * @throws CircuitscopeError `not_json`, `bad_record`
 */
export function putRecord({ dir, catalogue }: Workspace, record: object, options: PutOptions = {}): Put {
  const bytes = new TextEncoder().encode(canonicalJson(record));
  const hash = digestBytes(bytes);
  const facts = factsOfRecord(record, 'the value');
  const path = pathOf(dir, 'artefacts', hash, '.json');
  if (!touch(path)) writeDurably(path, bytes);
  addArtefact(catalogue, hash, { ...facts, bytes: bytes.length });
  let replaced: Hash | null = null;
  const { actionKey: key } = options;
  if (key !== undefined) {
    const before = actionResult(dir, key);
    replaced = before === hash ? null : before;
    writeDurably(
      pathOf(dir, 'actions', key, '.json'),
      new TextEncoder().encode(canonicalJson({ actionKey: key, contentDigest: hash })),
    );
    addAction(catalogue, key, hash);
  }
  if (options.keep ?? key === undefined) {
    const mark = pathOf(dir, 'kept', hash, '');
    if (!touch(mark)) writeDurably(mark, new Uint8Array());
    addKept(catalogue, hash);
  }
  return { hash, replaced };
}

/**
 * A stored record, verified against its hash and read by its parser (`parseCircuit`, which also reads earlier versions).
 * @throws CircuitscopeError `missing_artefact`, `corrupt_artefact`, `bad_artefact`, `invalid_record`, `bad_hash`
 */
export function getRecord<T>(workspace: Workspace, hash: Hash, parse: (value: unknown) => Parsed<T>): T {
  const parsed = parse(getJson(workspace, hash));
  if (parsed.ok) return parsed.value;
  throw invalidRecord(parsed.issues, `record ${hash}`);
}

/** A stored record as the JSON that it is; verified, but of any kind. */
export function getJson({ dir }: Workspace, hash: Hash): unknown {
  return readVerifiedJson(pathOf(dir, 'artefacts', hash, '.json'), hash);
}

/** The result of an action that was done before, or null: then do it. Asks the files, so it also sees what others just did. */
export function findByAction({ dir }: Workspace, key: Hash): Hash | null {
  const hash = actionResult(dir, key);
  if (hash === null) return null;
  return existsSync(pathOf(dir, 'artefacts', hash, '.json')) ? hash : null;
}

/** An action file that cannot be read answers nothing: the work is done again and the file replaced. */
function actionResult(dir: string, key: Hash): Hash | null {
  const path = pathOf(dir, 'actions', key, '.json');
  if (!existsSync(path)) return null;
  try {
    return readAction(path, key);
  } catch (error) {
    if (error instanceof CircuitscopeError) return null;
    throw error;
  }
}
