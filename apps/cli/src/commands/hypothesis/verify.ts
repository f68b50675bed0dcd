import { hashRecord } from '@circuitscope/core';
import { readLedger, readLocked } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { shared } from '../../options/index.ts';
import { print } from '../../output/index.ts';

export const verify = command({
  summary: 'has anything that was locked been changed since?',
  details:
    'Recomputes the hash of every entry of the ledger and of every locked record. A changed, moved or removed entry, or a changed record, is named and the exit code is 1. Hashes show what was changed, not when: a clock that was wrong at the lock stays wrong.',
  options: { workspace: shared.workspace },
  examples: [{ line: 'circuitscope hypothesis verify', about: 'the ledger of ./.circuitscope' }],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const ledger = readLedger(workspace);
      const locks = ledger.filter(({ body }) => body.kind === 'lock').map((entry) => hashRecord(entry));
      for (const lock of locks) readLocked(workspace, lock);
      const document = { kind: 'ledger_check', version: 1, entries: ledger.length, locks };
      print(
        io,
        options,
        document,
        () => `${ledger.length} entries and ${locks.length} locked hypotheses are as they were written.\n`,
      );
    }),
});
