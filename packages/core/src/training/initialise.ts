import { CircuitscopeError } from '@circuitscope/schema';
import { Rng, type Tensor, zeros } from '../tensor/index.ts';

/** Where a weight starts. `xavier` is √(2/(in + out)) as the deviation of a normal, in and out the sizes of a matrix. */
export type Initialiser =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'xavier'; readonly gain?: number };

export const zero: Initialiser = { kind: 'constant', value: 0 };
export const one: Initialiser = { kind: 'constant', value: 1 };

/**
 * A weight in float32. Its numbers come from a stream of its name, so that they do not depend on which other weights there
 * are. Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010 (xavier).
 *
 * @throws CircuitscopeError `bad_initialiser` for xavier on anything but a matrix
 */
export function initialise(seed: number, name: string, shape: readonly number[], initialiser: Initialiser): Tensor {
  const made = zeros(shape);
  const rng = new Rng(seed, `training.initial/${name}`);
  const draw = drawing(initialiser, name, shape, rng);
  for (let at = 0; at < made.data.length; at++) made.data[at] = draw();
  return made;
}

function drawing(initialiser: Initialiser, name: string, shape: readonly number[], rng: Rng): () => number {
  switch (initialiser.kind) {
    case 'constant':
      return () => initialiser.value;
    case 'normal':
      return () => initialiser.deviation * rng.normal();
    case 'uniform':
      return () => initialiser.bound * (2 * rng.float() - 1);
    case 'xavier': {
      const [into, out] = shape;
      if (shape.length !== 2 || into === undefined || out === undefined) {
        throw new CircuitscopeError(
          'bad_initialiser',
          `${name} is no matrix, so it has no Xavier start; name another.`,
          {
            at: name,
            expected: 'two sizes',
            got: `[${shape.join(', ')}]`,
          },
        );
      }
      const deviation = (initialiser.gain ?? 1) * Math.sqrt(2 / (into + out));
      return () => deviation * rng.normal();
    }
  }
}
