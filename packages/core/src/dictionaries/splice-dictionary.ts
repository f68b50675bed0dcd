import { CircuitscopeError, type Site } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { DictionaryNodes } from './add-dictionary.ts';
import { type Dictionary, dictionaryShapes } from './dictionary.ts';
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
  type Surgery,
  spliceSites,
  takeWeights,
} from './splice.ts';

export interface SpliceOptions {
  readonly dictionary: Dictionary;
  /** The site to read and reconstruct; by default the one that the dictionary was trained at. */
  readonly at?: Site;
  readonly error: SpliceError;
}

/**
 * Splices an autoencoder into a model. With the error kept, the model goes on with x + W_dec(f′ − f), which is x to the bit
 * until a plan changes f′, the site `<at>.hook_sae_acts_post`; with the error dropped, with the reconstruction of f′. The
 * README lists the sites.
 * @throws CircuitscopeError `bad_splice`, `unknown_site`, `shape_mismatch`
 */
export function spliceDictionary(
  model: Model,
  { dictionary, at = dictionary.reads ?? undefined, error }: SpliceOptions,
): Model {
  if (dictionary.transcoder) {
    throw new CircuitscopeError(
      'bad_splice',
      `${dictionary.name} is a transcoder: it reads one site and writes another, so it replaces an MLP instead of being spliced in.`,
      { at: dictionary.name, expected: 'an autoencoder', got: 'a transcoder' },
    );
  }
  if (at === undefined) throw noSite(dictionary.name);
  const surgery = beginSurgery(model);
  addSplice(surgery, { dictionary, reads: at, writes: at, error });
  return finish(surgery, dictionary, { kind: 'splice', at, error });
}

export interface ReplaceOptions {
  readonly transcoder: Dictionary;
  /** By default the layer of the sites that the transcoder was trained at. */
  readonly layer?: number;
  /** By default what the transcoder was trained on, in that layer. */
  readonly reads?: Site;
  readonly error: SpliceError;
}

/**
 * Lets a transcoder compute a layer's `hook_mlp_out`: with the error kept, y + W_dec(f′ − f), y being what the MLP gives;
 * with the error dropped, the transcoder's output alone. Latents are at `blocks.i.hook_mlp_out.hook_sae_acts_post`.
 * @throws CircuitscopeError `bad_splice`, `unknown_site`, `shape_mismatch`
 */
export function replaceMlp(model: Model, { transcoder, layer, reads, error }: ReplaceOptions): Model {
  if (!transcoder.transcoder) {
    throw new CircuitscopeError(
      'bad_splice',
      `${transcoder.name} is an autoencoder: it reconstructs what it reads, so it is spliced in and replaces no MLP.`,
      { at: transcoder.name, expected: 'a transcoder', got: 'an autoencoder' },
    );
  }
  const [own] = [reads, transcoder.reads, transcoder.writes].flatMap(
    (site) => /^blocks\.(\d+)\./.exec(site ?? '')?.[1] ?? [],
  );
  const at = layer ?? (own === undefined ? undefined : Number(own));
  const site = reads ?? transcoder.reads?.replace(/^blocks\.\d+\./, `blocks.${at}.`);
  if (at === undefined || site === undefined) throw noSite(transcoder.name);
  const surgery = beginSurgery(model);
  const writes = `blocks.${at}.hook_mlp_out`;
  addSplice(surgery, { dictionary: transcoder, reads: readSite(model.graph, site), writes, error });
  return finish(surgery, transcoder, { kind: 'replace', reads: site, writes, error });
}

interface Splice {
  readonly dictionary: Dictionary;
  readonly reads: Site;
  readonly writes: Site;
  readonly error: SpliceError;
}

function addSplice(surgery: Surgery, { dictionary, reads, writes, error }: Splice): void {
  const { rewrite } = surgery;
  const target = nodeToWrite(surgery, writes);
  const x = reads === writes ? target : nodeToRead(surgery, reads);
  checkWidth(x, reads, dictionary.dIn, dictionary.heads, dictionary.name);
  checkWidth(target, writes, dictionary.dOut, dictionary.heads, dictionary.name);
  checkOrder(surgery, x, target, { reads, writes });
  const before = rewrite.nextId;
  const [first = writes] = target.sites;
  const name = (id: number, suffix: string): void => nameAfter(surgery, target.sites, id, suffix);
  name(target.id, x === target ? spliceSites.input : spliceSites.target);
  const nodes = new DictionaryNodes(rewrite, dictionary, { id: x.id, inner: x.shape.slice(2) }, `${first}.sae.`);

  const { pre, gate } = nodes.encode();
  // Plans change the copy; the latents as they are without any plan come from the original.
  const changedPre = error === 'keep' ? rewrite.add('sum', [pre]) : pre;
  name(changedPre, spliceSites.pre);
  const changed = nodes.activate(changedPre, gate);
  name(changed, spliceSites.latents);
  const reconstruction = nodes.decode(changed);
  name(reconstruction, spliceSites.reconstruction);

  if (error === 'drop') {
    name(rewrite.add('subtract', [target.id, reconstruction]), spliceSites.error);
    // A sum of one term: the value has names of its own, and no reader takes the decoder for the product that was here.
    replaceValue(surgery, target, rewrite.add('sum', [reconstruction]), before);
  } else {
    const latents = nodes.activate(pre, gate);
    const change = negative(surgery, nodes.decodeDifference(rewrite.add('subtract', [latents, changed])));
    name(change, spliceSites.change);
    const rest = rewrite.add('subtract', [target.id, nodes.decode(latents)]);
    const changedRest = rewrite.add('sum', [rest]);
    name(changedRest, spliceSites.error);
    const restChange = negative(surgery, rewrite.add('subtract', [rest, changedRest]));
    name(restChange, spliceSites.errorChange);
    replaceValue(surgery, target, rewrite.add('sum', [target.id, change, restChange]), before);
  }
  takeWeights(surgery, nodes.used, dictionary);
}

function finish(surgery: Surgery, dictionary: Dictionary, what: object): Model {
  const own = [...dictionaryShapes(dictionary).keys()].flatMap((name) => dictionary.weights.get(name) ?? []);
  return finishSurgery(surgery, {
    what,
    parameters: countEntries(own),
    contentHash: () => dictionary.contentHash(),
  });
}

function noSite(name: string): CircuitscopeError {
  return new CircuitscopeError('bad_splice', `${name} does not say where it belongs; name a site, or a layer.`, {
    at: name,
    expected: 'a site',
  });
}
