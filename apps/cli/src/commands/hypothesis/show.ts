import { parseHypothesisOutcome } from '@circuitscope/schema';
import { getRecord, readLocked } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { outcomeText } from '../../examine/hypothesis-text.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { argument, required, shared, text } from '../../options/index.ts';
import { print, properties, styleFor } from '../../output/index.ts';
import { findLock } from './find-lock.ts';

export const show = command({
  summary: 'one locked hypothesis: its claim, rule, predictions, and what came of it',
  details: 'The record is verified against its lock; one that was changed since is refused.',
  options: { lock: argument(required(text('LOCK', 'a lock, or its first digits'))), workspace: shared.workspace },
  examples: [{ line: 'circuitscope hypothesis show 12ab34cd', about: 'the hypothesis whose lock begins so' }],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const { hypothesis, lock, ledger } = readLocked(workspace, findLock(workspace, options.lock));
      const outcomes = ledger.flatMap(({ body }) =>
        body.kind === 'outcome' && body.lock === lock
          ? [getRecord(workspace, body.outcome, parseHypothesisOutcome)]
          : [],
      );
      print(io, options, documentOf({ kind: 'locked_hypothesis', version: 1, lock, hypothesis, outcomes }), () => {
        const head = properties([
          ['name', `${hypothesis.name}, revision ${hypothesis.revision}`],
          ['lock', lock],
          ...(hypothesis.parent ? [['revises', hypothesis.parent] as [string, string]] : []),
          ['claim', hypothesis.claim],
          ['definition', `${hypothesis.definition.what}: ${hypothesis.definition.condition}`],
          ...hypothesis.alternatives.map(({ claim }): [string, string] => ['rival', claim]),
          ...hypothesis.stimuli.map(({ id, generator, examples, seed }): [string, string] => [
            'data',
            `${id}: ${examples} of ${generator}, ${seed.kind === 'explore' ? 'drawn before the lock' : 'drawn from the lock'}`,
          ]),
        ]);
        const results = outcomes.map((outcome) => outcomeText(hypothesis, outcome, styleFor(io)));
        return `${head}\n${results.length > 0 ? results.join('\n') : 'Not tested yet.\n'}`;
      });
    }),
});
