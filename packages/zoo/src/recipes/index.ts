import { recipes as coreRecipes, type Recipe } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import { inductionAttention, inductionWithMlps } from './induction.ts';
import { modularAdditionRecipe } from './modular-addition.ts';
import { shapes } from './shapes.ts';
import { sortingRecipe } from './sorting.ts';

/** Every recipe there is: the toys of core, and those whose models the zoo keeps. */
export const zooRecipes: readonly Recipe[] = [
  ...coreRecipes,
  inductionAttention,
  inductionWithMlps,
  modularAdditionRecipe,
  shapes,
  sortingRecipe,
];

/** @throws CircuitscopeError `unknown_recipe` */
export function zooRecipe(name: string): Recipe {
  const found = zooRecipes.find((recipe) => recipe.name === name);
  if (found) return found;
  const known = zooRecipes.map((recipe) => recipe.name).join(', ');
  throw new CircuitscopeError(
    'unknown_recipe',
    `There is no recipe ${JSON.stringify(name.slice(0, 80))}; there are ${known}.`,
    { expected: known, got: name.slice(0, 80) },
  );
}
