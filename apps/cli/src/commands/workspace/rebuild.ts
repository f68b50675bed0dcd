import { rebuild as rebuildCatalogue } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { shared } from '../../options/index.ts';
import { print } from '../../output/index.ts';

export const rebuild = command({
  summary: 'make the catalogue again from the files',
  details:
    'The catalogue is an index; the files are the truth. Needed after files were copied in, removed or restored by hand.',
  options: { workspace: shared.workspace },
  examples: [
    { line: 'circuitscope workspace rebuild', about: 'reads every file, verifies records, names what cannot be read' },
  ],
  run: (options, io) =>
    withExistingWorkspace(options, io, (workspace) => {
      const { artefacts, unreadable } = rebuildCatalogue(workspace);
      const document = {
        kind: 'workspace_rebuild',
        version: 1,
        workspace: workspace.dir,
        artefacts,
        unreadable: [...unreadable],
      };
      print(
        io,
        options,
        document,
        () =>
          `${artefacts} ${artefacts === 1 ? 'artefact' : 'artefacts'} listed.\n${unreadable.map((path) => `Cannot be read: ${path}\n`).join('')}`,
      );
    }),
});
