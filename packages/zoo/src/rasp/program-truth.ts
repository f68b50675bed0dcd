import type { Ablation } from '@circuitscope/schema';
import { type SilentEdge, type Truth, truthOf } from '../zoo-member.ts';
import { type DrawnEdge, drawnEdges, type Read } from './drawn-edges.ts';
import { parentsOf, type RaspProgram, type RaspVariable, type Selector } from './rasp-program.ts';

/** A step of slope 100 makes so much of a rounding in what it reads. */
const ROUNDING = 1e-5;

const NEVER_ALONE =
  'It only lets attention fall on BOS where nothing is selected; where the metric is read, something always is.';
const ALL_ALIKE =
  'The head attends to everything and to BOS with one score; without queries or keys all scores are 0, which is the same pattern.';
const STILL_ABOVE =
  'Without queries or keys BOS joins the mean with a 0, which makes it smaller but never 0, and all that reads it asks whether it is above 0.';
const SAME_IN_BOTH =
  'It carries only what the clean and the corrupt prompt have in common: positions, length, BOS, or what follows from them.';

/**
 * Which of the drawn edges matter when cut alone. Cut to zero, all do but those that only say what is so anyway. Resampled
 * from a prompt of the same length, only those remain whose content depends on the tokens.
 */
export function programTruth(program: RaspProgram, ablation: Exclude<Ablation, 'mean'>): Truth {
  const tainted = dependOnTokens(program);
  const edges: DrawnEdge[] = [];
  const silent: SilentEdge[] = [];
  for (const edge of drawnEdges(program)) {
    const audible = edge.reads.filter((read) => !needless(program, read));
    const heard =
      ablation === 'zero'
        ? audible.length > 0
        : audible.some((read) => read.of.kind === 'variable' && tainted.has(read.of.name) && !asksAll(read));
    if (heard) edges.push(edge);
    else silent.push({ edge: plain(edge), why: reason(program, edge, audible) });
  }
  const tolerance = program.variables.some((variable) => onlyItsSign(program, variable)) ? ROUNDING : 0;
  return truthOf({ ablation, metric: 'logit_diff', edges: edges.map(plain), silent, tolerance });
}

const plain = ({ from, to }: DrawnEdge): SilentEdge['edge'] => ({ from, to });

function reason(program: RaspProgram, edge: DrawnEdge, audible: readonly Read[]): string {
  if (audible.length > 0) return SAME_IN_BOTH;
  if (edge.reads.every(measuresAll)) return ALL_ALIKE;
  return edge.reads.every((read) => asksAll(read) && typeof read.by === 'object' && onlyItsSign(program, read.by))
    ? STILL_ABOVE
    : NEVER_ALONE;
}

/** Reads without which nothing changes, whatever stands in their place. */
function needless(program: RaspProgram, read: Read): boolean {
  const { by, port, of } = read;
  if (measuresAll(read)) return true;
  if (typeof by === 'string' || by.kind !== 'aggregate') return false;
  if (asksAll(read)) return onlyItsSign(program, by);
  return (port === 'q' && of.kind === 'one') || (port === 'k' && of.kind === 'bos');
}

/** A mean over everything of which all that is asked is whether it is above 0. */
function onlyItsSign(program: RaspProgram, variable: RaspVariable): boolean {
  if (variable.kind !== 'aggregate' || variable.selector.predicate.kind !== 'always') return false;
  const readers = program.variables.filter((other) => parentsOf(other).includes(variable.name));
  return readers.every((other) => other.kind === 'map' && other.fn.kind === 'greater_than' && other.fn.value === 0);
}

/** Then a head asks for everything there is but BOS, whatever the value. */
function asksAll({ by, port }: Read): boolean {
  if (typeof by === 'string' || !('selector' in by) || by.selector.predicate.kind !== 'always') return false;
  return port === 'q' || port === 'k';
}

function measuresAll(read: Read): boolean {
  return asksAll(read) && typeof read.by === 'object' && read.by.kind === 'selector_width';
}

/** Variables that can differ between inputs of one length. */
function dependOnTokens(program: RaspProgram): ReadonlySet<string> {
  const tainted = new Set(['tokens']);
  const depends = (...names: readonly string[]): boolean => names.some((name) => tainted.has(name));
  const selects = ({ keys, queries, predicate }: Selector): boolean =>
    predicate.kind !== 'always' && depends(keys, queries);
  for (const variable of program.variables) if (follows(variable, depends, selects)) tainted.add(variable.name);
  return tainted;
}

function follows(
  variable: RaspVariable,
  depends: (...names: readonly string[]) => boolean,
  selects: (selector: Selector) => boolean,
): boolean {
  switch (variable.kind) {
    case 'map':
      return depends(variable.of);
    case 'sequence_map':
    case 'linear_map':
      return depends(variable.left, variable.right);
    case 'aggregate':
      return depends(variable.of) || selects(variable.selector);
    case 'selector_width':
      return selects(variable.selector);
  }
}
