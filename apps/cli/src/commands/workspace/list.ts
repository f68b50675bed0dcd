import { list as listArtefacts } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { shared, text } from '../../options/index.ts';
import { numbers, print, styleFor, table } from '../../output/index.ts';

export const list = command({
  summary: 'what the workspace holds, the last made first',
  options: {
    kind: text('KIND', 'only records of this kind: circuit, plan, task, tensors, …'),
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope workspace list', about: 'everything in ./.circuitscope' },
    { line: 'circuitscope workspace list --kind circuit --json', about: 'the circuits, for another program' },
  ],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const entries = listArtefacts(workspace, { kind: options.kind });
      const document = {
        kind: 'workspace_list',
        version: 1,
        workspace: workspace.dir,
        artefacts: entries.map((entry) => ({ ...entry })),
      };
      print(io, options, document, () => {
        if (entries.length === 0)
          return `${workspace.dir} holds nothing${options.kind === undefined ? '' : ` of kind ${options.kind}`} yet.\n`;
        const rows = entries.map(({ hash, kind, name, bytes, lastRunAt }) => [
          shortHash(hash),
          kind,
          name ?? '',
          numbers.bytes(bytes),
          lastRunAt?.slice(0, 19).replace('T', ' ') ?? '',
        ]);
        const columns = [
          { title: 'hash' },
          { title: 'kind' },
          { title: 'name' },
          { title: 'size', align: 'right' as const },
          { title: 'made (UTC)' },
        ];
        return table(columns, rows, styleFor(io));
      });
    }),
});

/** Enough digits to name an artefact of one workspace. */
const shortHash = (hash: string) => hash.slice('sha256:'.length, 'sha256:'.length + 12);
