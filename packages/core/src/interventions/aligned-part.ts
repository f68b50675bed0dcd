import {
  type AlignedPart,
  type Alignment,
  CircuitscopeError,
  type Hash,
  type Intervention,
  type Scope,
  type Site,
} from '@circuitscope/schema';
import { findSite, type Graph, listSites } from '../graph/index.ts';
import { captured, type Run } from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import type { CausalProgram } from './causal-program.ts';

/** What interventions name: runs that values come from, and directions. Filled while patches are made, handed to `runPlan`. */
export interface PatchBook {
  readonly runs: Map<string, Run>;
  readonly artefacts: Map<Hash, Tensor>;
}

export const patchBook = (): PatchBook => ({ runs: new Map(), artefacts: new Map() });

/** The part as a scope, without its positions. */
export function partScope({ site, head, units, unit }: AlignedPart): Scope {
  const chosen = units ? Array.from({ length: units[1] - units[0] }, (_, at) => units[0] + at) : unit;
  return { site, ...(head ? { head } : {}), ...(chosen ? { unit: chosen } : {}) };
}

/**
 * Interventions that give a part the value which it has in `source`, at the model's positions of these positions of the
 * variable. Along directions: what is along them is taken out, then the source's share added.
 */
export function patchPart(
  part: AlignedPart,
  positions: readonly number[],
  from: { readonly book: PatchBook; readonly source: Run; readonly name: string },
): Intervention[] {
  const { book, source, name } = from;
  const shifted = positions.map((at) => at + (part.shift ?? 0)).filter((at) => at >= 0 && at < source.pos);
  if (shifted.length === 0) return [];
  const at: Scope = { ...partScope(part), at: { kind: 'positions', positions: shifted } };
  if (!part.directions) {
    book.runs.set(name, source);
    return [{ kind: 'write', at, op: 'set', value: { kind: 'run', name } }];
  }
  const directions = part.directions.map((row): Tensor => ({ shape: [row.length], data: Float64Array.from(row) }));
  const hashes = directions.map((tensor) => {
    const hash = digestTensor(tensor);
    book.artefacts.set(hash, tensor);
    return hash;
  });
  const projected = `${name} at ${part.site} along ${hashes.map((hash) => hash.slice(7, 19)).join(' ')}`;
  book.runs.set(projected, alongDirections(source, part.site, part.directions));
  return [
    ...hashes.map((direction): Intervention => ({ kind: 'direction', at, op: 'project_out', direction })),
    { kind: 'write', at, op: 'add', value: { kind: 'run', name: projected } },
  ];
}

/** A run that holds of one site only what lies in the span of orthonormal directions. */
function alongDirections(source: Run, site: Site, directions: readonly (readonly number[])[]): Run {
  const { shape, data } = captured(source, site);
  const width = shape.at(-1) ?? 1;
  const kept = data.slice();
  for (let start = 0; start < data.length; start += width) {
    kept.fill(0, start, start + width);
    for (const direction of directions) {
      let along = 0;
      for (let i = 0; i < width; i++) along += (data[start + i] ?? 0) * (direction[i] ?? 0);
      for (let i = 0; i < width; i++) kept[start + i] = (kept[start + i] ?? 0) + along * (direction[i] ?? 0);
    }
  }
  return withSite(source, site, { shape, data: kept });
}

/** A run of the same prompts that holds this value of one site. */
export function withSite(run: Pick<Run, 'batch' | 'pos' | 'mask'>, site: Site, tensor: Tensor): Run {
  return {
    variants: null,
    batch: run.batch,
    pos: run.pos,
    mask: run.mask,
    readouts: [{ kind: 'capture', at: { site } }],
    results: [{ kind: 'capture', site, tensor }],
    multiplyAdds: 0,
  };
}

/**
 * The part of each variable that has one.
 * @throws CircuitscopeError `bad_alignment` for a variable that the program lacks, for the want of the output's, or for
 * directions that are not orthonormal; `unknown_site`
 */
export function checkAlignment(graph: Graph, program: CausalProgram, alignment: Alignment): void {
  const names = program.variables.map(({ name }) => name);
  const complain = (at: string, sentence: string, expected: string, got = at): never => {
    throw new CircuitscopeError('bad_alignment', sentence, { at, expected, got });
  };
  for (const [name, part] of Object.entries(alignment)) {
    if (!names.includes(name))
      complain(name, `The program has no variable ${name}; it has ${names.join(', ')}.`, names.join(', '));
    const node = findSite(graph, part.site);
    const width = node.shape.at(-1);
    const outside = [...(part.units ? [part.units[1] - 1] : []), ...(part.unit ?? [])].find(
      (unit) => typeof width === 'number' && unit >= width,
    );
    if (outside !== undefined)
      complain(
        name,
        `${part.site} has ${width} units; there is no unit ${outside}.`,
        `0 to ${Number(width) - 1}`,
        String(outside),
      );
    const { directions = [] } = part;
    const wrong = directions.findIndex((row) => row.length !== width);
    if (wrong >= 0)
      complain(
        name,
        `Direction ${wrong} of ${name} has another length than ${part.site}.`,
        String(width),
        String(directions[wrong]?.length),
      );
    for (const [i, a] of directions.entries()) {
      for (const [j, b] of directions.slice(0, i + 1).entries()) {
        const product = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
        if (Math.abs(product - (i === j ? 1 : 0)) > 1e-4)
          complain(
            name,
            `Directions ${j} and ${i} of ${name} are not orthonormal: their product is ${product}.`,
            i === j ? '1' : '0',
            String(product),
          );
      }
    }
  }
}

/** The part of a variable that has to have one. */
export function partOf(alignment: Alignment, variable: string): AlignedPart {
  const part = Object.hasOwn(alignment, variable) ? alignment[variable] : undefined;
  if (part) return part;
  const known = Object.keys(alignment).join(', ');
  throw new CircuitscopeError('bad_alignment', `The alignment says nothing of ${variable}; it places ${known}.`, {
    at: variable,
    expected: known,
    got: variable,
  });
}

export const siteNames = (graph: Graph): ReadonlySet<Site> => new Set(listSites(graph).map(({ site }) => site));
