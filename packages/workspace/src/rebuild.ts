import { rebuildCatalogue } from './catalogue.ts';
import type { Workspace } from './workspace.ts';

/**
 * Makes the catalogue again from the files.
 * @returns how many artefacts it now lists, and the files that could not be read
 */
export function rebuild({ dir, catalogue }: Workspace): {
  readonly artefacts: number;
  readonly unreadable: readonly string[];
} {
  return rebuildCatalogue(dir, catalogue);
}
