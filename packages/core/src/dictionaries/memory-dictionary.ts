import { CircuitscopeError } from '@circuitscope/schema';
import type { Weight } from '../plan/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import { type Dictionary, type DictionarySpec, dictionaryShapes, makeDictionary } from './dictionary.ts';

export type MemoryDictionarySpec = Pick<DictionarySpec, 'encoder' | 'dIn' | 'latents'> & Partial<DictionarySpec>;

/**
 * A dictionary of arrays: hand-written, or just trained. What is left out is as in the plainest autoencoder: `dOut` = `dIn`,
 * b_dec subtracted (unless it is a transcoder), nothing normalised, no skip connection.
 *
 * @param tensors by the names of `dictionaryShapes`; not copied
 * @throws CircuitscopeError `bad_tensor`, and what `makeDictionary` throws
 */
export function memoryDictionary(
  name: string,
  spec: MemoryDictionarySpec,
  tensors: { readonly [name: string]: Tensor },
): Dictionary {
  const { dOut = spec.dIn, transcoder = false } = spec;
  const whole: DictionarySpec = {
    dOut,
    centred: !transcoder,
    normalization: 'none',
    heads: false,
    transcoder,
    skip: false,
    reads: null,
    writes: null,
    ...spec,
  };
  const known = dictionaryShapes(whole);
  const weights = new Map<string, Weight>();
  for (const [key, { shape, data }] of Object.entries(tensors)) {
    if (!known.has(key) || shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new CircuitscopeError('bad_tensor', `${name} cannot use the tensor ${key} as it is.`, {
        at: `${name}: ${key}`,
        expected: known.get(key)?.join(' × ') ?? [...known.keys()].join(', '),
        got: `${data.length} entries`,
      });
    }
    weights.set(key, { name: key, shape, read: (): Floats => data });
  }
  return makeDictionary(whole, weights, { name });
}
