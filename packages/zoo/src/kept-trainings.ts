import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders of the trainings whose models the zoo keeps, with their logs: `trained/<recipe>/seed-<n>`. */
export function keptTrainings(): readonly string[] {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../trained');
  return readdirSync(root)
    .sort()
    .flatMap((recipe) =>
      readdirSync(join(root, recipe))
        .filter((name) => /^seed-\d+$/.test(name))
        .sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)))
        .map((name) => join(root, recipe, name)),
    )
    .filter((folder) => existsSync(join(folder, 'log.jsonl')));
}
