import { hashRecord } from '@circuitscope/core';
import { parseHypothesisOutcome } from '@circuitscope/schema';
import { getRecord, readLedger } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { shared } from '../../options/index.ts';
import { print, styleFor, table } from '../../output/index.ts';

export const list = command({
  summary: 'the ledger: what was locked when, and what came of it',
  details: 'Entries in their order, each verified against the one before it.',
  options: { workspace: shared.workspace },
  examples: [{ line: 'circuitscope hypothesis list', about: 'every lock and outcome of ./.circuitscope' }],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const entries = readLedger(workspace).map((entry) => ({ hash: hashRecord(entry), entry }));
      const document = { kind: 'hypothesis_ledger', version: 1, entries };
      print(io, options, documentOf(document), () => {
        if (entries.length === 0) return 'Nothing is locked yet; circuitscope hypothesis test locks a claim.\n';
        const rows = entries.map(({ hash, entry: { index, at, body } }) => [
          String(index),
          at.slice(0, 19).replace('T', ' '),
          body.kind,
          body.kind === 'lock'
            ? body.name
            : body.kind === 'outcome'
              ? getRecord(workspace, body.outcome, parseHypothesisOutcome).verdict
              : body.what,
          body.kind === 'lock' ? hash.slice(7, 19) : body.lock.slice(7, 19),
        ]);
        const columns = [{ title: '#' }, { title: 'time (UTC)' }, { title: 'entry' }, { title: '' }, { title: 'lock' }];
        return table(columns, rows, styleFor(io));
      });
    }),
});
