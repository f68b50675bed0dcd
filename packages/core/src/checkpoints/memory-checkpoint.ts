import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson } from '@circuitscope/schema';
import type { Tensor } from '../tensor/index.ts';
import { type Checkpoint, remembered, type StoredTensor } from './checkpoint.ts';

/**
 * A checkpoint without files: hand-written weights, or weights that were computed. The values are copied to float32.
 *
 * @param name stands where a path would, for messages and listings.
 * @throws CircuitscopeError `bad_tensor` where shape and length disagree.
 */
export function memoryCheckpoint(name: string, config: unknown, tensors: ReadonlyMap<string, Tensor>): Checkpoint {
  const stored = new Map<string, StoredTensor>();
  for (const [key, { shape, data }] of tensors) {
    if (shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new CircuitscopeError('bad_tensor', `The shape and the length of ${key} disagree.`, {
        at: `${name}: ${key}`,
        expected: `[${shape.join(', ')}]`,
        got: `${data.length} entries`,
      });
    }
    const copy = Float32Array.from(data);
    stored.set(key, {
      name: key,
      dtype: 'f32',
      shape,
      file: '',
      byteOffset: 0,
      byteLength: copy.byteLength,
      data: copy,
    });
  }
  return {
    kind: 'memory',
    path: name,
    config,
    tensors: stored,
    files: [],
    contentHash: remembered(async () => {
      const hash = createHash('sha256').update(`${canonicalJson(config)}\n`);
      for (const key of [...stored.keys()].sort()) {
        const { shape, data } = stored.get(key)!;
        hash.update(`${JSON.stringify(key)} [${shape.join(',')}]\n`);
        if (data) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      return `sha256:${hash.digest('hex')}`;
    }),
  };
}
