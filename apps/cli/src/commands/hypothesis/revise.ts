import { inductionRanges, lockHypothesis, reviseHypothesis } from '@circuitscope/core';
import { CircuitscopeError, Hypothesis, mustParse } from '@circuitscope/schema';
import { readLocked, storeLocked } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { readJsonFile } from '../../examine/read-json-file.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { argument, required, shared, text } from '../../options/index.ts';
import { print } from '../../output/index.ts';
import { findLock } from './find-lock.ts';

export const revise = command({
  summary: 'lock a new version that names the one it revises; its data will be others',
  details:
    'Takes the hypothesis as JSON, as `hypothesis show --json` gives it under `hypothesis`, with what was changed. Revision number and parent are set here; a decision rule that can be met both ways, or that nothing falsifies, is refused.',
  options: {
    lock: argument(required(text('LOCK', 'the lock to revise, or its first digits'))),
    file: argument(required(text('FILE.json', 'the changed hypothesis'))),
    workspace: shared.workspace,
  },
  examples: [{ line: 'circuitscope hypothesis revise 12ab34cd changed.json', about: 'a bound that was too lax' }],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const before = readLocked(workspace, findLock(workspace, options.lock));
      const given = mustParse(
        Hypothesis,
        readJsonFile(options.file, 'hypothesis', io),
        `hypothesis in ${options.file}`,
      );
      if (given.name !== before.hypothesis.name) {
        throw new CircuitscopeError(
          'other_hypothesis',
          `${options.file} holds ${given.name}, but the lock is of ${before.hypothesis.name}; keep the name of what is revised.`,
          { at: options.file, expected: before.hypothesis.name, got: given.name },
        );
      }
      const { kind: _kind, version: _version, revision: _revision, parent: _parent, ...changes } = given;
      const revised = reviseHypothesis(before, changes);
      const locked = lockHypothesis(revised, {
        at: new Date().toISOString(),
        ledger: before.ledger,
        ranges: inductionRanges,
      });
      storeLocked(workspace, locked);
      const document = { kind: 'locked_revision', version: 1, lock: locked.lock, parent: before.lock };
      print(io, options, document, () => `Locked revision ${revised.revision} as ${locked.lock}.\n`);
    }),
});
