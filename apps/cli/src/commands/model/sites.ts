import {
  attentionOutSite,
  attentionSite,
  findSite,
  type Graph,
  headInputSite,
  listSites,
  mlpProductNames,
  placeOf,
  readerSite,
} from '@circuitscope/core/graph';
import { command } from '../../command.ts';
import { argument } from '../../options/index.ts';
import { byLayer, print, styleFor, table } from '../../output/index.ts';
import { modelOption, resolveModel, sizeOption } from '../../resolve-model.ts';
import { describeOperation, describeSite } from './describe-site.ts';

export const sites = command({
  summary: 'every site that can be read or changed, and every weight',
  details:
    'Sites have the names of TransformerLens. Sizes that a call decides stay symbols: batch, pos, key. Sites on request are computed only when a plan names them, and `--capture all` leaves them out. On a terminal and in text, layers that are alike share a line; --json lists each.',
  options: { model: argument(modelOption), size: sizeOption },
  examples: [{ line: 'circuitscope model sites ./gpt2', about: 'names, shapes and what each site holds' }],
  run: async (options, io) => {
    const model = await resolveModel(options.model, io, options.size ? { size: options.size } : {});
    const computed = listSites(model.graph).map(({ site, shape }) => ({
      name: site,
      shape: symbolic(site, shape),
      meaning: describeSite(site) || describeOperation(findSite(model.graph, site).op),
      onRequest: false,
    }));
    const all = [...computed, ...onRequest(model.graph)];
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
function onRequest(graph: Graph) {
  const entry = (name: string, shape: readonly (number | string)[]) => ({
    name,
    shape: [...shape],
    meaning: describeSite(name),
    onRequest: true,
  });
  const made = listSites(graph).flatMap(({ site, shape }) => {
    const found = placeOf(site);
    if (!found) return [];
    const { place, rest } = found;
    const port = /^hook_([qkv])$/.exec(rest)?.[1];
    if (port === 'q' || port === 'k' || port === 'v') {
      const width = findSite(graph, attentionOutSite(place)).shape[2] ?? 0;
      return [entry(headInputSite(place, port), [...shape.slice(0, 3), width])];
    }
    if (site === `${attentionSite(place)}.hook_z`) {
      const width = findSite(graph, attentionOutSite(place)).shape[2] ?? 0;
      return [entry(`${attentionSite(place)}.hook_result`, [...shape.slice(0, 3), width])];
    }
    if (!mlpProductNames.includes(rest)) return [];
    const stack = place.stack === 'encoder' || place.stack === 'decoder' ? { stack: place.stack } : {};
    const out = findSite(graph, site.replace(/mlp\.\w+$/, 'hook_mlp_out'));
    return [entry(readerSite({ kind: 'mlp', ...stack, layer: place.layer, port: 'in' }), out.shape)];
  });
  const logits = findSite(graph, 'logits');
  const read = graph.nodes[logits.in[0] ?? -1];
  // What has no positions has no stream that logits read.
  return logits.shape.length === 3 && read
    ? [...made, entry(readerSite({ kind: 'logits', port: 'in' }), read.shape)]
    : made;
}
