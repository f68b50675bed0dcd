import { basename } from 'node:path';
import { inductionInitialiser, type ModelGroup } from '@circuitscope/core';
import { chooseExecutor } from '@circuitscope/core/plan';
import { CircuitscopeError } from '@circuitscope/schema';
import { familyName, inductionGroups, openDecoder, seedFamilies } from '@circuitscope/zoo';
import { command } from '../command.ts';
import { compareAndKeep } from '../examine/compare-and-keep.ts';
import { comparisonText, matchedText } from '../examine/comparison-text.ts';
import { documentOf } from '../examine/document-of.ts';
import { modelSource } from '../examine/model-source.ts';
import { runSettings } from '../examine/open-source.ts';
import { bosOf } from '../examine/task-for-model.ts';
import type { Io } from '../io.ts';
import { withWorkspace } from '../open-workspace.ts';
import { flag, integer, shared, text, withDefault } from '../options/index.ts';
import { note, print, progress, styleFor } from '../output/index.ts';

export const universality = command({
  summary: 'is a circuit the same in other models? roles, edges and effects against nulls',
  details:
    'Compares models by the induction circuit: heads are matched by what they do, then behaviour, roles, effects of interchanging heads and edges are compared over all pairs, beside permuted roles, rewired edges, untrained models and other questions. The unit is the model: intervals draw models, never tokens, and no model is left out. The verdict (strong, weak, functional, none) follows a rule that was written before the run.',
  options: {
    family: text('NAME', 'a family of the zoo, all its seeds; two with a comma compare architectures'),
    models: text('PATH,PATH,…', 'your own checkpoints of one architecture, or zoo:NAME, at least two'),
    draws: withDefault(integer('N', 'draws of each null', { min: 19, max: 99_999 }), 499),
    seed: withDefault(integer('N', 'seed of everything random'), 1),
    again: flag('compute even if the workspace has the answer'),
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope universality', about: 'the seeds of the zoo’s first family' },
    {
      line: 'circuitscope universality --family induction-attn-2l,induction-mlp-2l',
      about: 'over two architectures: pairs of models of different ones',
    },
    { line: 'circuitscope universality --models ./seed-a,./seed-b,./seed-c --json', about: 'your own checkpoints' },
  ],
  run: async (options, io, line) => {
    const groups = options.models ? [await ownGroup(options.models, io)] : familyGroups(options.family);
    const { executor, fallbackReason } = await chooseExecutor();
    if (fallbackReason !== null) note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
    const kept = await withWorkspace(options, io, async (workspace) => {
      using bar = progress(io, 'comparing models');
      return compareAndKeep(workspace, {
        name: `induction over ${groups.map(({ name }) => name).join(' and ')}`,
        description: 'The induction circuit over models.',
        groups,
        executor,
        seed: options.seed,
        draws: options.draws,
        again: options.again,
        command: line,
        run: { ...runSettings(options, io), onProgress: (share) => bar.update(share) },
      });
    });
    print(io, options, documentOf(kept.comparison), () => {
      const style = styleFor(io);
      return `${comparisonText(kept.comparison, style)}\nHeads that were matched in the first pair:\n\n${matchedText(kept.comparison, style)}\nKept: comparison ${kept.hash}${kept.found ? ' (found in the workspace; --again computes anew)' : ''}\n`;
    });
  },
});

function familyGroups(asked: string | undefined): readonly ModelGroup[] {
  const all = inductionGroups();
  const known = all.map(({ name }) => name);
  const wanted = asked?.split(',').map((name) => name.trim()) ?? known.slice(0, 1);
  return wanted.map((name) => {
    const found = all.find((group) => group.name === name);
    if (found) return found;
    throw new CircuitscopeError('unknown_family', `The zoo has no family ${name}; it has ${known.join(', ')}.`, {
      expected: known.join(', '),
      got: name,
    });
  });
}

async function ownGroup(list: string, io: Io): Promise<ModelGroup> {
  const paths = list.split(',').map((path) => path.trim());
  const models: { readonly id: string; readonly model: Awaited<ReturnType<typeof openDecoder>>['model'] }[] = [];
  let bos: number | null = null;
  for (const path of paths) {
    const { model, member } = await openDecoder(modelSource(path, io));
    bos = member ? member.bos : bosOf(model);
    const id = member?.name ?? basename(path);
    models.push({ id: models.some((one) => one.id === id) ? path : id, model });
  }
  return { name: 'models', models, tokens: { bos }, initialiser: inductionInitialiser };
}

/** Whether a zoo member has siblings of other seeds. */
export function siblings(name: string): number {
  const family = familyName({ name });
  return family === null ? 0 : (seedFamilies().get(family)?.length ?? 0);
}
