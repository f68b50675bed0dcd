import type { NativeStoreHandle } from '../kernels/index.ts';
import type { Folding } from './folding.ts';
import type { Weight } from './weights.ts';

type Bias = Extract<Folding, { kind: 'bias' }>;

/**
 * Has the addon compute a folded weight when it packs it, so that nothing of it is made here.
 *
 * @param defineStored defines a weight that lies in a file, once
 * @returns whether it could: all that it is computed of must lie in files, and never change.
 */
export function defineFolded(
  weight: Weight,
  handle: NativeStoreHandle,
  defineStored: (stored: Weight) => void,
): boolean {
  const { folded } = weight;
  if (!folded || weight.version) return false;
  const stored = new Map<string, Weight>();
  let inFiles = true;
  /** The name in the store of a weight of the model as it is stored. */
  const named = (name: string, transposed = false): string => {
    const source = folded.of.get(name);
    const mapping = source?.mapping;
    if (!source || !mapping) {
      inFiles = false;
      return name;
    }
    const own = `${transposed ? 'turned' : 'stored'}/${name}`;
    const view = transposed
      ? { shape: source.shape.toReversed(), mapping: { ...mapping, strides: mapping.strides.toReversed() } }
      : { shape: source.shape, mapping };
    stored.set(own, { name: own, read: source.read, ...view });
    return own;
  };
  const maybe = (name: string | null): string | null => (name === null ? null : named(name));
  const bias = ({ from, shift, values, centre }: Bias): object => ({
    kind: 'bias',
    from: maybe(from),
    shift: shift && { vector: named(shift.vector), matrix: named(shift.matrix) },
    values: values && { ...values, bias: bias(values.bias), matrix: named(values.matrix) },
    centre,
  });
  const { folding } = folded;
  const recipe =
    folding.kind === 'bias'
      ? bias(folding)
      : {
          kind: 'matrix',
          from: named(folding.from, folding.transposed),
          gain: maybe(folding.gain),
          centreColumns: folding.centreColumns,
          centreRows: folding.centreRows,
        };
  if (!inFiles) return false;
  for (const each of stored.values()) defineStored(each);
  handle.defineFolded(weight.name, [...weight.shape], JSON.stringify(recipe));
  return true;
}
