import type { LatentReader } from '../plan/index.ts';
import { DictionaryNodes } from './add-dictionary.ts';
import type { Dictionary } from './dictionary.ts';
import { checkWidth, versionedWeights } from './splice.ts';

/** A dictionary for readouts of latents: it reads a site, and nothing in the model knows. */
export function latentReader(dictionary: Dictionary): LatentReader {
  const { encoder } = dictionary;
  return {
    name: dictionary.name,
    latents: dictionary.latents,
    atMost: encoder.kind === 'topk' ? encoder.k : null,
    addTo: (rewrite, x, prefix) => {
      const [site = 'that value'] = x.sites;
      checkWidth(x, site, dictionary.dIn, dictionary.heads, dictionary.name);
      const nodes = new DictionaryNodes(rewrite, dictionary, { id: x.id, inner: x.shape.slice(2) }, prefix);
      const latents = nodes.read();
      return { latents, weights: versionedWeights(nodes.used, dictionary) };
    },
  };
}
