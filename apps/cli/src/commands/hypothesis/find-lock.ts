import { hashRecord } from '@circuitscope/core';
import { CircuitscopeError, type Hash } from '@circuitscope/schema';
import { readLedger, type Workspace } from '@circuitscope/workspace';

/** The lock whose hash begins with what the user gave. @throws CircuitscopeError `unknown_lock` */
export function findLock(workspace: Workspace, given: string): Hash {
  const digits = given.replace(/^sha256:/, '');
  const locks = readLedger(workspace).flatMap((entry) => (entry.body.kind === 'lock' ? [hashRecord(entry)] : []));
  const found = locks.filter((hash) => /^[0-9a-f]+$/.test(digits) && hash.startsWith(`sha256:${digits}`));
  if (found.length === 1 && found[0]) return found[0];
  throw new CircuitscopeError(
    'unknown_lock',
    `${found.length === 0 ? 'No' : 'More than one'} lock in ${workspace.dir} begins with ${digits}; circuitscope hypothesis list shows them.`,
    { expected: 'the first digits of a lock', got: given },
  );
}
