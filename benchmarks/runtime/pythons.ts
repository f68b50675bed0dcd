import { spawnSync } from 'node:child_process';
import { delimiter } from 'node:path';

export interface Python {
  readonly path: string;
  readonly modules: readonly string[];
}

const ASK =
  'import importlib.util as u; print(" ".join(m for m in ("torch", "transformers", "transformer_lens") if u.find_spec(m)))';

/** The Pythons in CIRCUITSCOPE_PYTHON, which may list several as PATH does, and which of the libraries each has. */
export function findPythons(listed = process.env.CIRCUITSCOPE_PYTHON ?? ''): readonly Python[] {
  return listed
    .split(delimiter)
    .filter(Boolean)
    .map((path) => {
      const { stdout, status, error } = spawnSync(path, ['-c', ASK], { encoding: 'utf8' });
      if (error || status !== 0) {
        throw new Error(
          `CIRCUITSCOPE_PYTHON names ${path}, which does not run (${error?.message ?? `status ${status}`})`,
        );
      }
      return { path, modules: stdout.trim().split(' ') };
    });
}
