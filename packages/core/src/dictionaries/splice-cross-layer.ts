import { CircuitscopeError, type Site } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { countLayers } from '../graph/index.ts';
import type { Weight } from '../plan/index.ts';
import type { CrossLayerTranscoder } from './cross-layer.ts';
import { readSite } from './read-site.ts';
import {
  beginSurgery,
  checkOrder,
  checkWidth,
  countEntries,
  finishSurgery,
  nameAfter,
  negative,
  nodeToRead,
  nodeToWrite,
  replaceValue,
  type SpliceError,
  spliceSites,
  takeWeights,
} from './splice.ts';

/**
 * Lets a cross-layer transcoder compute every layer's `hook_mlp_out`. Latents of layer i are at
 * `blocks.i.hook_mlp_out.hook_sae_acts_post`; a change of them reaches the outputs of layer i and of all later layers. With
 * the errors kept, unchanged latents change nothing, to the bit.
 * @throws CircuitscopeError `bad_splice`, `unknown_site`, `shape_mismatch`
 */
export function spliceCrossLayer(
  model: Model,
  { transcoder, error }: { readonly transcoder: CrossLayerTranscoder; readonly error: SpliceError },
): Model {
  const layers = countLayers(model.graph);
  if (layers !== transcoder.layers) {
    throw new CircuitscopeError(
      'bad_splice',
      `${transcoder.name} has ${transcoder.layers} layers, but ${model.name} has ${layers}; it belongs to another model.`,
      { at: transcoder.name, expected: `${layers} layers`, got: `${transcoder.layers} layers` },
    );
  }
  const surgery = beginSurgery(model);
  const { rewrite } = surgery;
  const used = new Map<string, Weight>();
  const weight = (name: string): string => {
    const found = transcoder.weights.get(name);
    if (!found)
      throw new CircuitscopeError('missing_tensor', `${transcoder.name} lacks the tensor ${name}.`, { at: name });
    used.set(`cross_layer.${name}`, found);
    return `cross_layer.${name}`;
  };
  const activate = (pre: number, layer: number): number =>
    transcoder.jumps
      ? rewrite.add('jump_relu', [pre], { params: [weight(`threshold_${layer}`)] })
      : rewrite.add('activation', [pre], { attrs: { fn: 'relu' } });
  const product = (x: number, matrix: string, bias: string | null, out: number): number =>
    rewrite.add('linear', [x], {
      params: [weight(matrix), bias === null ? null : weight(bias)],
      attrs: { out: [out] },
    });

  const encoded: { readonly latents: number; readonly changed: number; difference: number }[] = [];
  /** Σ over layers up to `target` of latents through their decoders into it; the bias is the target layer's. */
  const decode = (of: 'latents' | 'changed' | 'difference', target: number): number => {
    const terms = encoded
      .slice(0, target + 1)
      .map((layer, at) =>
        product(
          layer[of],
          `W_dec_${at}_${target}`,
          at === 0 && of !== 'difference' ? `b_dec_${target}` : null,
          transcoder.width,
        ),
      );
    return rewrite.add('sum', terms);
  };

  for (let layer = 0; layer < layers; layer++) {
    const writes = `blocks.${layer}.${transcoder.writes}`;
    const reads = readSite(rewrite.source, `blocks.${layer}.${transcoder.reads}`);
    const target = nodeToWrite(surgery, writes);
    const x = nodeToRead(surgery, reads);
    checkWidth(x, reads, transcoder.width, false, transcoder.name);
    checkWidth(target, writes, transcoder.width, false, transcoder.name);
    checkOrder(surgery, x, target, { reads, writes });
    const before = rewrite.nextId;
    const name = (id: number, suffix: string): void => nameAfter(surgery, target.sites, id, suffix);
    name(target.id, spliceSites.target);
    const pre = product(x.id, `W_enc_${layer}`, `b_enc_${layer}`, transcoder.latents[layer] ?? 0);
    const changedPre = error === 'keep' ? rewrite.add('sum', [pre]) : pre;
    name(changedPre, spliceSites.pre);
    const changed = activate(changedPre, layer);
    name(changed, spliceSites.latents);
    const latents = error === 'keep' ? activate(pre, layer) : changed;
    const difference = error === 'keep' ? rewrite.add('subtract', [latents, changed]) : changed;
    encoded.push({ latents, changed, difference });
    const reconstruction = decode('changed', layer);
    name(reconstruction, spliceSites.reconstruction);
    if (error === 'drop') {
      name(rewrite.add('subtract', [target.id, reconstruction]), spliceSites.error);
      replaceValue(surgery, target, rewrite.add('sum', [reconstruction]), before);
      continue;
    }
    const change = negative(surgery, decode('difference', layer));
    name(change, spliceSites.change);
    const rest = rewrite.add('subtract', [target.id, decode('latents', layer)]);
    const changedRest = rewrite.add('sum', [rest]);
    name(changedRest, spliceSites.error);
    const restChange = negative(surgery, rewrite.add('subtract', [rest, changedRest]));
    name(restChange, spliceSites.errorChange);
    replaceValue(surgery, target, rewrite.add('sum', [target.id, change, restChange]), before);
  }
  takeWeights(surgery, used, transcoder);
  const sites: { reads: Site; writes: Site } = { reads: transcoder.reads, writes: transcoder.writes };
  return finishSurgery(surgery, {
    what: { kind: 'crossLayer', ...sites, error },
    parameters: countEntries(used.values()),
    contentHash: () => transcoder.contentHash(),
  });
}
