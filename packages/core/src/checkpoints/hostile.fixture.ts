import { CircuitscopeError } from '@circuitscope/schema';
import { expect } from 'vitest';
import { Rng } from '../tensor/index.ts';
import { countedAllocations } from './counted-allocations.fixture.ts';
import { wrongBytes } from './wrong-bytes.fixture.ts';

/** How many wrong files each parser gets; many more where `CIRCUITSCOPE_FUZZ` says so. */
export const hostileRuns = (usual: number): number => Number(process.env.CIRCUITSCOPE_FUZZ ?? usual);

export interface Hostile {
  /** Names the stream of mistakes. */
  readonly name: string;
  /** What the error must name. */
  readonly file: string;
  /** Right content, of which each run spoils one. */
  readonly bases: readonly Uint8Array[];
  readonly runs: number;
  /** Typed arrays that reading may make, for `bytes` that were spoilt. */
  readonly most: (bytes: Uint8Array) => number;
  /** Reads, and checks what was read. Called with the right content first. */
  readonly read: (bytes: Uint8Array, base: number) => void;
}

/**
 * Gives a parser one wrong file after the other. What may come of it is a value that `read` finds right, or a typed error that names the
 * file, within the memory that is allowed; anything else fails, with the bytes that did it.
 *
 * @returns how many were taken; some and not all are, else the mistakes are not of the right kind.
 */
export function expectSurvives({ name, file, bases, runs, most, read }: Hostile): number {
  const rng = new Rng(20261123, `hostile ${name}`);
  bases.forEach((bytes, at) => {
    read(bytes, at);
  });
  let taken = 0;
  for (let run = 0; run < runs; run++) {
    const at = run % bases.length;
    const bytes = wrongBytes(bases[at] ?? new Uint8Array(), rng);
    const told = (what: string): string => `${name}, run ${run}: ${what}: ${Buffer.from(bytes).toString('base64')}`;
    const started = process.cpuUsage();
    const { value: error, bytes: asked } = countedAllocations(() => failureOf(() => read(bytes, at)));
    const { user, system } = process.cpuUsage(started);
    if (error === undefined) taken++;
    else if (!(error instanceof CircuitscopeError)) throw new Error(told(String(error)), { cause: error });
    else if (!`${error.message} ${error.at}`.includes(file)) throw new Error(told(`no file in ${error.message}`));
    if (asked > most(bytes)) throw new Error(told(`${asked} bytes were asked for`));
    if (user + system > 5e6) throw new Error(told(`${(user + system) / 1e6} s of work`));
  }
  expect(taken, `${name}: taken of ${runs}`).toBeGreaterThan(0);
  expect(taken, `${name}: taken of ${runs}`).toBeLessThan(runs);
  return taken;
}

function failureOf(run: () => void): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}
