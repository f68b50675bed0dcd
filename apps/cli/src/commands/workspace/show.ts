import type { Json } from '@circuitscope/schema';
import { actionsOf, getJson, getTensors, list, resolveHash, runsOf } from '@circuitscope/workspace';
import { command } from '../../command.ts';
import { withExistingWorkspace } from '../../open-workspace.ts';
import { argument, required, shared, text } from '../../options/index.ts';
import { numbers, print, properties } from '../../output/index.ts';

export const show = command({
  summary: 'one artefact: what it is, which action and runs made it, what it says',
  details: 'The artefact is verified against its hash. With --json the record itself stands under `record`.',
  options: { hash: argument(required(text('HASH', 'a hash, or its first digits'))), workspace: shared.workspace },
  examples: [{ line: 'circuitscope workspace show 12ab34cd', about: 'the record whose hash begins so' }],
  run: (options, io) =>
    withExistingWorkspace(options, io, async (workspace) => {
      const hash = resolveHash(workspace, options.hash);
      const entry = list(workspace).find((candidate) => candidate.hash === hash);
      const content =
        entry?.kind === 'tensors'
          ? await tensorsOf(await getTensors(workspace, hash))
          : (getJson(workspace, hash) as Json);
      const actions = actionsOf(workspace, hash);
      const runs = runsOf(workspace, hash);
      const document = {
        kind: 'workspace_artefact',
        version: 1,
        hash,
        actions,
        runs: runs.map((run) => ({ ...run })),
        record: content,
      };
      print(io, options, document, () => {
        const head = properties([
          ['hash', hash],
          ['kind', entry?.kind ?? 'unlisted; run circuitscope workspace rebuild'],
          ['size', entry ? numbers.bytes(entry.bytes) : ''],
          ...actions.map((key): [string, string] => ['action', key]),
          ...runs.map(({ startedAt, wallTimeMs }): [string, string] => [
            'run',
            `${startedAt}, ${numbers.duration(wallTimeMs)}`,
          ]),
        ]);
        return `${head}\n${escaped(JSON.stringify(content, null, 2))}\n`;
      });
    }),
});

function tensorsOf({ tensors, metadata }: Awaited<ReturnType<typeof getTensors>>): Json {
  return {
    metadata: Object.fromEntries(metadata),
    tensors: tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
  };
}

/** JSON escapes what is below a space; the rest of the control characters a terminal would obey. */
const escaped = (json: string) =>
  json.replace(/[\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
