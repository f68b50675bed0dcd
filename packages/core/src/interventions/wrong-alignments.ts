import type { AlignedPart, Alignment } from '@circuitscope/schema';
import { findSite, type Graph } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import { partScope, siteNames } from './aligned-part.ts';

/**
 * An alignment that is wrong on purpose. `permuted`: each variable lies where another does; `layer`: in the same columns of
 * another layer; `random`: in as many other units (heads, directions) of the same site, drawn at random.
 */
export interface WrongAlignment {
  readonly kind: 'permuted' | 'layer' | 'random';
  /** What was done, for people. */
  readonly label: string;
  readonly alignment: Alignment;
  /** Whose part each variable was given, where it is another's. */
  readonly borrowed?: { readonly [variable: string]: string };
}

export interface WrongOptions {
  /** Of each kind, at most; 4 if left out. */
  readonly each?: number;
  readonly seed: number;
}

/** Wrong alignments for these variables, all else staying where it is. Where a kind has no room there is none of it. */
export function wrongAlignments(
  graph: Graph,
  alignment: Alignment,
  variables: readonly string[],
  { each = 4, seed }: WrongOptions,
): WrongAlignment[] {
  const rng = new Rng(seed, `interventions.wrong/${variables.join(' ')}`);
  return [
    ...permuted(alignment, variables, each, rng.child('permuted')),
    ...otherLayers(graph, alignment, variables, each, rng.child('layer')),
    ...randomParts(graph, alignment, variables, each, rng.child('random')),
  ];
}

function permuted(alignment: Alignment, variables: readonly string[], each: number, rng: Rng): WrongAlignment[] {
  const names = Object.keys(alignment);
  const steps = Array.from({ length: names.length - 1 }, (_, index) => index + 1);
  return rng
    .shuffle(steps)
    .map((step): WrongAlignment => {
      const borrowed = Object.fromEntries(
        variables.map((name) => [name, names[(names.indexOf(name) + step) % names.length] ?? name]),
      );
      return {
        kind: 'permuted',
        label:
          variables.length > 2
            ? `each in the place of the one ${step} after it`
            : variables.map((name) => `${name} in the place of ${borrowed[name]}`).join(', '),
        alignment: moved(alignment, variables, (_, name) => alignment[borrowed[name] ?? name] ?? null) ?? alignment,
        borrowed,
      };
    })
    .filter((wrong) => differs(wrong.alignment, alignment, variables))
    .slice(0, each);
}

function otherLayers(
  graph: Graph,
  alignment: Alignment,
  variables: readonly string[],
  each: number,
  rng: Rng,
): WrongAlignment[] {
  const sites = siteNames(graph);
  const layers = new Set([...sites].flatMap((site) => /^blocks\.(\d+)\./.exec(site)?.[1] ?? [])).size;
  const steps = Array.from({ length: Math.max(0, layers - 1) }, (_, index) => index + 1);
  return rng
    .shuffle(steps)
    .map((step): WrongAlignment => {
      const shifted = moved(alignment, variables, (part) => {
        const site = part.site.replace(
          /^blocks\.(\d+)\./,
          (_, layer: string) => `blocks.${(Number(layer) + step) % layers}.`,
        );
        return site !== part.site && sites.has(site) ? { ...part, site } : part;
      });
      return {
        kind: 'layer',
        label:
          variables.length > 2
            ? `each ${step} of ${layers} layers on, after the last the first`
            : variables.map((name) => `${name} at ${shifted?.[name]?.site ?? '?'}`).join(', '),
        alignment: shifted ?? alignment,
      };
    })
    .filter((wrong) => differs(wrong.alignment, alignment, variables))
    .slice(0, each);
}

function randomParts(
  graph: Graph,
  alignment: Alignment,
  variables: readonly string[],
  each: number,
  rng: Rng,
): WrongAlignment[] {
  return Array.from({ length: each }, (_, draw): WrongAlignment | null => {
    const changed = moved(alignment, variables, (part) => randomPart(graph, part, rng));
    if (!changed) return null;
    const kept = variables.reduce((sum, name) => sum + shared(alignment[name], changed[name]), 0);
    const own = kept > 0 ? `, ${kept} of it right, as nothing else was left` : '';
    return { kind: 'random', label: `random part ${draw + 1} of the same size${own}`, alignment: changed };
  }).filter((wrong) => wrong !== null);
}

/** As much of the same site elsewhere; null where nothing else is left of it. */
function randomPart(graph: Graph, part: AlignedPart, rng: Rng): AlignedPart | null {
  const { shape } = findSite(graph, part.site);
  const width = Number(shape.at(-1));
  const { units: _units, unit: _unit, ...rest } = part;
  if (part.directions) return { ...rest, directions: orthonormal(width, part.directions.length, rng) };
  const unit = partScope(part).unit;
  const others = (count: number, own: readonly number[]): number[] | null => {
    const free = Array.from({ length: count }, (_, at) => at).filter((at) => !own.includes(at));
    // Where too little is left beside it, some of its own come along, never all.
    const more = Array.from({ length: count }, (_, at) => at).filter((at) => own.includes(at));
    if (free.length === 0) return null;
    return [...rng.shuffle(free), ...rng.shuffle(more)].slice(0, own.length).sort((a, b) => a - b);
  };
  if (unit) {
    const drawn = others(width, unit);
    return drawn && { ...rest, unit: drawn };
  }
  if (part.head) {
    // Heads are the third axis by positions, the second of a pattern.
    const heads = Number(typeof shape[2] === 'number' ? shape[2] : shape[1]);
    const drawn = others(heads, part.head);
    return drawn && { ...rest, head: drawn };
  }
  return null;
}

/** How many units or heads two parts of a site have in common. */
function shared(one: AlignedPart | undefined, other: AlignedPart | undefined): number {
  if (!one || !other || one.directions) return 0;
  const [a, b] = [partScope(one), partScope(other)];
  const [mine, theirs] = a.unit ? [a.unit, b.unit] : [a.head, b.head];
  return mine?.filter((index) => theirs?.includes(index)).length ?? 0;
}

function orthonormal(width: number, count: number, rng: Rng): number[][] {
  const rows: number[][] = [];
  while (rows.length < count) {
    const row = Array.from({ length: width }, () => rng.normal());
    for (const known of [...rows, ...rows]) {
      const along = known.reduce((sum, value, at) => sum + value * (row[at] ?? 0), 0);
      for (let at = 0; at < width; at++) row[at] = (row[at] ?? 0) - along * (known[at] ?? 0);
    }
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    rows.push(row.map((value) => Math.fround(value / norm)));
  }
  return rows;
}

/** The alignment with each of these variables moved; null if one has nowhere to go. */
function moved(
  alignment: Alignment,
  variables: readonly string[],
  to: (part: AlignedPart, name: string) => AlignedPart | null,
): Alignment | null {
  const parts: { [name: string]: AlignedPart } = { ...alignment };
  for (const name of variables) {
    const part = alignment[name];
    const other = part ? to(part, name) : null;
    if (!other) return null;
    parts[name] = other;
  }
  return parts;
}

function differs(one: Alignment, other: Alignment, variables: readonly string[]): boolean {
  const key = (alignment: Alignment, name: string): string => {
    const { encoding: _, ...part } = alignment[name] ?? { site: '' };
    return JSON.stringify(part);
  };
  return variables.some((name) => key(one, name) !== key(other, name));
}
