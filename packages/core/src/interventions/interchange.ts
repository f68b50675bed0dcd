import type { Alignment, Intervention } from '@circuitscope/schema';
import { type Engine, makePlan, type Prompt, type Run, type RunOptions, runPlan } from '../plan/index.ts';
import { type Measured, wilson } from '../statistics/index.ts';
import { checkAlignment, partOf, patchBook, patchPart } from './aligned-part.ts';
import type { AlgorithmInput, CausalProgram } from './causal-program.ts';
import { agrees, outputReadout, type Saying } from './compare-output.ts';
import { type DrawOptions, drawPairs, evaluateExchange, type InterchangePair, sameValue } from './draw-pairs.ts';
import { type WrongAlignment, wrongAlignments } from './wrong-alignments.ts';

// Interchange interventions (Geiger et al. 2021): if a model computes a program, then giving a variable's part of the model
// the value that it has on another prompt does to the output what giving the variable that value does in the program.

export type AlgorithmRun = Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;

export interface InterchangeOptions extends DrawOptions {
  readonly program: CausalProgram;
  readonly alignment: Alignment;
  readonly inputs: readonly AlgorithmInput[];
  /** Sets of variables that are exchanged together, each from a prompt of its own; every aligned one alone if left out. */
  readonly variables?: readonly (readonly string[])[];
  /** Wrong alignments of each kind; 4 if left out. */
  readonly nulls?: number;
  readonly run?: AlgorithmRun;
}

/** Shares of pairs in which the model says everywhere what the program says; null where no such pair was drawn. */
export interface InterchangeScore {
  readonly changing: Measured | null;
  readonly unchanging: Measured | null;
}

export interface NullScore extends InterchangeScore {
  readonly kind: WrongAlignment['kind'];
  readonly label: string;
  /**
   * For `permuted`, the share of changing pairs in which exchanging the other variable does the same in the program: what
   * this null scores if the model computes it. The high end counts pairs in which the program then says nothing. [1, 1]
   * where the program cannot tell the two apart; null for other kinds.
   */
  readonly predicted: readonly [low: number, high: number] | null;
}

export interface InterchangeAccuracy {
  readonly variables: readonly string[];
  readonly pairs: number;
  /** Pairs of the stratum that the inputs did not give. */
  readonly missing: { readonly changing: number; readonly unchanging: number };
  readonly unsaid: number;
  /** Share of the base prompts on which the model, left alone, says what the program says. */
  readonly untouched: Measured | null;
  readonly score: InterchangeScore;
  readonly nulls: readonly NullScore[];
}

/**
 * Interchange-intervention accuracy of an alignment, set of variables by set, beside alignments that are wrong. Intervals are
 * Wilson's over pairs.
 * @throws CircuitscopeError `bad_alignment`, `too_few_examples`
 */
export async function interchangeAccuracy(engine: Engine, options: InterchangeOptions): Promise<InterchangeAccuracy[]> {
  const { program, alignment, inputs, nulls = 4, seed, run = {} } = options;
  checkAlignment(engine.graph, program, alignment);
  const sets = options.variables ?? Object.keys(alignment).map((name) => [name]);
  const results: InterchangeAccuracy[] = [];
  for (const [index, variables] of sets.entries()) {
    for (const name of variables) partOf(alignment, name);
    const drawn = drawPairs(program, variables, inputs, options);
    const wrong = nulls > 0 ? wrongAlignments(engine.graph, alignment, variables, { each: nulls, seed }) : [];
    const outcomes = await runPairs(engine, drawn.pairs, variables, [alignment, ...wrong.map((one) => one.alignment)], {
      ...options,
      run: { ...run, onProgress: (share) => run.onProgress?.((index + share) / sets.length) },
    });
    const scoreOf = (alternative: number): InterchangeScore => ({
      changing: share(outcomes, drawn.pairs, (pair) => pair.changes, alternative),
      unchanging: share(outcomes, drawn.pairs, (pair) => !pair.changes, alternative),
    });
    const found = drawn.pairs.filter(({ changes }) => changes).length;
    results.push({
      variables,
      pairs: drawn.pairs.length,
      missing: {
        changing: drawn.wanted.changing - found,
        unchanging: drawn.wanted.unchanging - (drawn.pairs.length - found),
      },
      unsaid: drawn.unsaid,
      untouched: share(outcomes, drawn.pairs, () => true, 0),
      score: scoreOf(1),
      nulls: wrong.map((one, at) => ({
        kind: one.kind,
        label: one.label,
        ...scoreOf(at + 2),
        predicted: predictedOf(options, drawn.pairs, variables, one),
      })),
    });
  }
  return results;
}

/** Whether the model is right, [pair][alternative]; alternative 0 is the model left alone. */
type Outcomes = readonly (readonly boolean[])[];

async function runPairs(
  engine: Engine,
  pairs: readonly InterchangePair[],
  variables: readonly string[],
  alignments: readonly Alignment[],
  { program, tolerance = 0.01, run }: Pick<InterchangeOptions, 'program' | 'tolerance' | 'run'>,
): Promise<Outcomes> {
  const outcomes: boolean[][] = pairs.map(() => []);
  // One call for all pairs that exchange the same positions: the alignments are its sweep.
  const groups = new Map<string, number[]>();
  pairs.forEach(({ positions }, index) => {
    const key = JSON.stringify(positions);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  });
  const sites = variables.map((name) => [...new Set(alignments.map((alignment) => partOf(alignment, name).site))]);
  let done = 0;
  for (const members of groups.values()) {
    const group = members.flatMap((index) => pairs[index] ?? []);
    const length = Math.max(
      ...group.flatMap(({ base, sources }) => [base.length, ...sources.map((one) => one.length)]),
    );
    const sources: Run[] = [];
    for (const [at] of variables.entries()) {
      const plan = makePlan(engine.graph, {
        readouts: (sites[at] ?? []).map((site) => ({ kind: 'capture', at: { site } })),
      });
      sources.push(
        await runPlan(
          engine,
          plan,
          padded(
            group.map((pair) => pair.sources[at] ?? []),
            length,
          ),
          settings(run),
        ),
      );
    }
    const book = patchBook();
    const positions = group[0]?.positions ?? [];
    const sweep = alignments.map((alignment): Intervention[] =>
      variables.flatMap((name, at) => {
        const source = sources[at];
        return source
          ? patchPart(partOf(alignment, name), positions[at] ?? [], { book, source, name: `source of ${name}` })
          : [];
      }),
    );
    const plan = makePlan(engine.graph, { readouts: [outputReadout(program)], sweep: [[], ...sweep] });
    const result = await runPlan(
      engine,
      plan,
      padded(
        group.map(({ base }) => base),
        length,
      ),
      { ...settings(run), ...book },
    );
    members.forEach((index, example) => {
      const pair = pairs[index];
      if (!pair) return;
      const right = (said: readonly Saying[], variant: number): boolean =>
        said.every((saying) => agrees(result, variant * group.length + example, saying, tolerance));
      outcomes[index] = [right(pair.before, 0), ...alignments.map((_, at) => right(pair.after, at + 1))];
    });
    done += members.length;
    run?.onProgress?.(done / pairs.length);
  }
  return outcomes;
}

const settings = ({ onProgress: _, ...rest }: AlgorithmRun = {}): Omit<AlgorithmRun, 'onProgress'> => rest;

/** Prompts of one length, padded on the right where they are shorter. */
function padded(prompts: readonly (readonly number[])[], length: number): Prompt {
  const tokens = prompts.map((prompt) => [...prompt, ...new Array<number>(length - prompt.length).fill(0)]);
  if (prompts.every((prompt) => prompt.length === length)) return { tokens };
  return {
    tokens,
    mask: prompts.map((prompt) => Array.from({ length }, (_, at) => (at < prompt.length ? 1 : 0))),
  };
}

function share(
  outcomes: Outcomes,
  pairs: readonly InterchangePair[],
  belongs: (pair: InterchangePair) => boolean,
  alternative: number,
): Measured | null {
  const members = pairs.flatMap((pair, index) => (belongs(pair) ? [index] : []));
  if (members.length === 0) return null;
  return wilson(members.filter((index) => outcomes[index]?.[alternative]).length, members.length);
}

function predictedOf(
  { program, tolerance = 0.01 }: Pick<InterchangeOptions, 'program' | 'tolerance'>,
  pairs: readonly InterchangePair[],
  variables: readonly string[],
  { borrowed }: WrongAlignment,
): NullScore['predicted'] {
  const changing = pairs.filter(({ changes }) => changes);
  if (!borrowed || changing.length === 0) return null;
  const others = variables.map((name) => borrowed[name] ?? name);
  let same = 0;
  let unsaid = 0;
  for (const { base, positions, sourceValues, after } of changing) {
    const column = evaluateExchange(program, base, others, positions, sourceValues)?.[program.output];
    const says = after.map(({ at, token, number }): boolean | null => {
      const value = column?.[at] ?? null;
      if (value === null) return null;
      return number === null ? program.tokenOf(value) === token : sameValue(value, number, tolerance);
    });
    if (says.includes(false)) continue;
    if (says.includes(null)) unsaid++;
    else same++;
  }
  return [same / changing.length, (same + unsaid) / changing.length];
}
