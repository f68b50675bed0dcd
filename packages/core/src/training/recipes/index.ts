import { CircuitscopeError } from '@circuitscope/schema';
import type { Recipe } from '../recipe.ts';
import { toySuperposition } from './toy-superposition.ts';

const five = { features: 5, hidden: 2, decay: 0.9 };

/** Every recipe by its name. */
export const recipes: readonly Recipe[] = [
  toySuperposition({
    ...five,
    name: 'toy-superposition',
    title: 'Superposition of five sparse features',
    shows:
      'Five features that are rarely active share two dimensions as a regular pentagon: norms 1.15 to 1.17, gaps of 72°.',
    sparsity: 0.99,
  }),
  toySuperposition({
    ...five,
    name: 'toy-superposition-dense',
    title: 'The same features, always active',
    shows:
      'Dense features do not share: the two most important ones stand at a right angle with norm 1, the others vanish.',
    sparsity: 0,
  }),
  toySuperposition({
    ...five,
    name: 'toy-superposition-pairs',
    title: 'The same features, active one time in five',
    shows: 'Four features as two antipodal pairs, half a dimension each; one of the five vanishes.',
    sparsity: 0.8,
  }),
  toySuperposition({
    name: 'toy-superposition-wide',
    title: 'Superposition of twenty features in five dimensions',
    shows:
      'More features than dimensions, the more the rarer they are active; their shares of a dimension sum to five at most.',
    features: 20,
    hidden: 5,
    decay: 0.9,
    sparsity: 0.95,
  }),
];

/** @throws CircuitscopeError `unknown_recipe` */
export function findRecipe(name: string): Recipe {
  const found = recipes.find((recipe) => recipe.name === name);
  if (found) return found;
  const known = recipes.map((recipe) => recipe.name).join(', ');
  throw new CircuitscopeError(
    'unknown_recipe',
    `There is no recipe ${JSON.stringify(name.slice(0, 80))}; there are ${known}.`,
    {
      expected: known,
      got: name.slice(0, 80),
    },
  );
}
