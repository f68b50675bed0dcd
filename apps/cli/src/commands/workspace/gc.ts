import { relative } from 'node:path';
import { gc as collect, resolveHash } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { flag, list, real, shared, withDefault } from '../../options/index.ts';
import { numbers, print } from '../../output/index.ts';

export const gc = command({
  summary: 'remove what no result needs',
  details:
    'Results of actions, records that were put in by hand and everything that these refer to stay; results that a later run replaced, tensors that nobody refers to and half-written files go. With --keep only the named artefacts and what they refer to stay.',
  options: {
    keep: list('HASH,…', 'spare only these and what they refer to'),
    dryRun: flag('say what would go, remove nothing'),
    olderThan: withDefault(
      real('MINUTES', 'leave younger files alone: others may be about to need them', { min: 0 }),
      60,
    ),
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope workspace gc --dry-run', about: 'what would go' },
    { line: 'circuitscope workspace gc --keep 12ab34cd', about: 'everything but one circuit and its parts' },
  ],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const { dryRun } = options;
      const keep = options.keep?.map((written) => resolveHash(workspace, written));
      const removed = collect(workspace, { dryRun, graceMs: options.olderThan * 60_000, ...(keep ? { keep } : {}) });
      const bytes = removed.reduce((sum, file) => sum + file.bytes, 0);
      const document = {
        kind: 'workspace_gc',
        version: 1,
        workspace: workspace.dir,
        dryRun,
        bytes,
        removed: removed.map(({ path, bytes }) => ({ path, bytes })),
      };
      print(io, options, document, () => {
        const files = removed.map(({ path }) => `${relative(workspace.dir, path)}\n`).join('');
        const what = `${removed.length} ${removed.length === 1 ? 'file' : 'files'}, ${numbers.bytes(bytes)}`;
        return `${dryRun ? files : ''}${dryRun ? `Would remove ${what}.` : `Removed ${what}.`}\n`;
      });
    }),
});
