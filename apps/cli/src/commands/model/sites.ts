import type { Model } from '@circuitscope/core/architectures';
import { listSites, readerSite } from '@circuitscope/core/graph';
import { command } from '../../command.ts';
import { argument } from '../../options/index.ts';
import { byLayer, print, styleFor, table } from '../../output/index.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';
import { describeSite } from './describe-site.ts';

export const sites = command({
  summary: 'every site that can be read or changed, and every weight',
  details:
    'Sites have the names of TransformerLens. Sizes that a call decides stay symbols: batch, pos, key. Sites on request are computed only when a plan names them, and `--capture all` leaves them out. On a terminal and in text, layers that are alike share a line; --json lists each.',
  options: { model: argument(modelOption) },
  examples: [{ line: 'circuitscope model sites ./gpt2', about: 'names, shapes and what each site holds' }],
  run: async (options, io) => {
    const model = await resolveDecoder(options.model, io);
    const computed = listSites(model.graph).map(({ site, shape }) => ({
      name: site,
      shape: symbolic(site, shape),
      meaning: describeSite(site),
      onRequest: false,
    }));
    const all = [...computed, ...onRequest(model)];
    const weights = model.graph.params.map(({ name, shape }) => ({ name, shape: [...shape] }));
    const document = {
      kind: 'model_sites',
      version: 1,
      model: model.name,
      sites: all.map(({ name, ...rest }) => ({ site: name, ...rest })),
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

/** The last axis of scores and pattern runs over the positions that are read. */
function symbolic(site: string, shape: readonly (number | string)[]): (number | string)[] {
  const attention = /\.attn\.hook_(attn_scores|pattern)$/.test(site);
  return shape.map((dim, axis) => (attention && axis === shape.length - 1 && dim === 'pos' ? 'key' : dim));
}

/** Sites that exist only when a plan asks for them. */
function onRequest({ spec }: Model) {
  const entry = (name: string, shape: (number | string)[]) => ({
    name,
    shape,
    meaning: describeSite(name),
    onRequest: true,
  });
  const layers = Array.from({ length: spec.layers }, (_, layer) => layer);
  const perHead = (heads: number) => ['batch', 'pos', heads, spec.width];
  const inputs = layers.flatMap((layer) => [
    ...(['q', 'k', 'v'] as const).map((port) =>
      entry(readerSite({ kind: 'head', layer, head: 0, port }), perHead(port === 'q' ? spec.heads : spec.kvHeads)),
    ),
    entry(`blocks.${layer}.attn.hook_result`, perHead(spec.heads)),
    ...(spec.inner > 0 ? [entry(readerSite({ kind: 'mlp', layer, port: 'in' }), ['batch', 'pos', spec.width])] : []),
  ]);
  return [...inputs, entry(readerSite({ kind: 'logits', port: 'in' }), ['batch', 'pos', spec.width])];
}
