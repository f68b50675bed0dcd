import { siteTable } from '@circuitscope/core/graph';
import { command } from '../../command.ts';
import { argument } from '../../options/index.ts';
import { byLayer, print, styleFor, table } from '../../output/index.ts';
import { configOption, imageOptions, modelOption, resolveModel, sizeOption } from '../../resolve-model.ts';

export const sites = command({
  summary: 'every site that can be read or changed, and every weight',
  details:
    'Sites have the names of TransformerLens. Sizes that a call decides stay symbols: batch, pos, key. Sites on request are computed only when a plan names them, and `--capture all` leaves them out. On a terminal and in text, layers that are alike share a line; --json lists each.',
  options: { model: argument(modelOption), size: sizeOption, config: configOption },
  examples: [{ line: 'circuitscope model sites ./gpt2', about: 'names, shapes and what each site holds' }],
  run: async (options, io) => {
    const model = await resolveModel(options.model, io, imageOptions(options, io));
    const all = siteTable(model.graph);
    const weights = model.graph.params.map(({ name, shape }) => ({ name, shape: [...shape] }));
    const document = {
      kind: 'model_sites',
      version: 1,
      model: model.name,
      sites: all.map(({ name, shape, ...rest }) => ({ site: name, shape: [...shape], ...rest })),
      weights,
    };
    print(io, options, document, () => {
      const style = styleFor(io);
      const siteRows = byLayer(all, ({ shape }) => shape.join()).map(({ name, entry }) => [
        name,
        `[${entry.shape.join(', ')}]`,
        entry.onRequest ? `${entry.meaning} (on request)` : entry.meaning,
      ]);
      const weightRows = byLayer(weights, ({ shape }) => shape.join()).map(({ name, entry }) => [
        name,
        `[${entry.shape.join(', ')}]`,
      ]);
      const first = table([{ title: 'site' }, { title: 'shape' }, { title: 'holds' }], siteRows, style);
      return `${first}\n${table([{ title: 'weight' }, { title: 'shape' }], weightRows, style)}`;
    });
  },
});
