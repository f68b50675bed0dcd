import type { AlignedPart, Alignment, Intervention, Site } from '@circuitscope/schema';
import { findSite, type Graph } from '../graph/index.ts';
import { captured, type Engine, makePlan, type Run, runPlan } from '../plan/index.ts';
import type { Rng, Tensor } from '../tensor/index.ts';
import { partOf, patchBook, patchPart, withSite } from './aligned-part.ts';
import type { CausalProgram } from './causal-program.ts';
import { type OutputLoss, outputReadout } from './compare-output.ts';
import type { AlgorithmRun } from './interchange.ts';
import type { PromptPool } from './prompt-pool.ts';

/** The parents of a variable that have a place; one without stands for its own parents. */
export function placedParents(program: CausalProgram, alignment: Alignment, name: string): string[] {
  const { parents = [] } = program.variables.find((variable) => variable.name === name) ?? {};
  return [
    ...new Set(
      parents.flatMap((parent) =>
        Object.hasOwn(alignment, parent) ? [parent] : placedParents(program, alignment, parent),
      ),
    ),
  ];
}

export async function runPlain(
  engine: Engine,
  pool: PromptPool,
  prompts: readonly number[],
  parts: Parameters<typeof makePlan>[1],
  { onProgress: _, ...settings }: AlgorithmRun = {},
  book = patchBook(),
): Promise<Run> {
  return runPlan(engine, makePlan(engine.graph, parts), { tokens: prompts.map(pool.tokens) }, { ...settings, ...book });
}

/** The recursion for one alignment, a batch of prompts of equal length at a time. */
export class Scrubber {
  readonly #engine: Engine;
  readonly #program: CausalProgram;
  readonly #alignment: Alignment;
  readonly #pool: PromptPool;
  readonly #rng: Rng;
  readonly #run: AlgorithmRun | undefined;
  readonly #before: (site: Site) => ReadonlySet<number>;
  prompts = 0;

  constructor(
    engine: Engine,
    program: CausalProgram,
    alignment: Alignment,
    pool: PromptPool,
    rng: Rng,
    run: AlgorithmRun | undefined,
  ) {
    this.#engine = engine;
    this.#program = program;
    this.#alignment = alignment;
    this.#pool = pool;
    this.#rng = rng;
    this.#run = run;
    this.#before = ancestorsOf(engine.graph);
  }

  /** The logits on random prompts whose part of the output was scrubbed. */
  async logits(refs: readonly number[], loss: OutputLoss): Promise<Run> {
    const { output } = this.#program;
    const value = await this.#scrubbed(output, this.#agreeing(output, refs));
    return this.#withParents('logits', [{ name: output, value }], refs, [outputReadout(this.#program, loss)], null);
  }

  /** The variable's site, as it comes out for prompts that agree with `refs` on every parent, and on nothing else. */
  async #scrubbed(name: string, refs: readonly number[]): Promise<Run> {
    const { site } = this.#part(name);
    const parents = placedParents(this.#program, this.#alignment, name);
    const readouts = [{ kind: 'capture' as const, at: { site } }];
    // A leaf draws nothing, so a prompt that comes twice is run once.
    if (parents.length === 0) return this.#leaf(site, refs);
    const given: { name: string; value: Run }[] = [];
    for (const parent of parents)
      given.push({ name: parent, value: await this.#scrubbed(parent, this.#agreeing(parent, refs)) });
    return this.#withParents(site, given, refs, readouts, name);
  }

  async #leaf(site: Site, refs: readonly number[]): Promise<Run> {
    const unique = [...new Set(refs)];
    this.prompts += unique.length;
    const run = await runPlain(
      this.#engine,
      this.#pool,
      unique,
      { readouts: [{ kind: 'capture', at: { site } }] },
      this.#run,
    );
    const { shape, data } = captured(run, site);
    const size = data.length / unique.length;
    const gathered: Tensor = { shape: [refs.length, ...shape.slice(1)], data: data.slice(0, 0) };
    const rows =
      data instanceof Float64Array ? new Float64Array(size * refs.length) : new Float32Array(size * refs.length);
    refs.forEach((ref, row) => {
      const from = unique.indexOf(ref) * size;
      rows.set(data.subarray(from, from + size), row * size);
    });
    return withSite({ batch: refs.length, pos: run.pos, mask: null }, site, { ...gathered, data: rows });
  }

  /**
   * Runs one random prompt per reference, with the parts of the parents as given. Parts of other variables which a parent's
   * part could reach are held at what the random prompt has there: the hypothesis says that they do not matter here.
   */
  async #withParents(
    to: Site,
    given: readonly { readonly name: string; readonly value: Run }[],
    refs: readonly number[],
    readouts: Parameters<typeof makePlan>[1]['readouts'],
    self: string | null,
  ): Promise<Run> {
    const random = refs.map((ref) => this.#rng.choice(this.#pool.sameLength(ref)));
    const graph = this.#engine.graph;
    const reaches = (from: Site, site: Site): boolean => this.#before(site).has(findSite(graph, from).id);
    const heard = given.filter(({ name }) => reaches(this.#part(name).site, to));
    const held = Object.keys(this.#alignment).filter(
      (name) =>
        name !== self &&
        !given.some((one) => one.name === name) &&
        reaches(this.#part(name).site, to) &&
        heard.some((parent) => reaches(this.#part(parent.name).site, this.#part(name).site)),
    );
    const book = patchBook();
    const positions = Array.from({ length: this.#pool.tokens(refs[0] ?? 0).length }, (_, at) => at);
    const interventions: Intervention[] = [];
    if (held.length > 0) {
      const sites = [...new Set(held.map((name) => this.#part(name).site))];
      const source = await runPlain(
        this.#engine,
        this.#pool,
        random,
        { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) },
        this.#run,
      );
      this.prompts += random.length;
      for (const name of held)
        interventions.push(...patchPart(this.#part(name), positions, { book, source, name: 'random' }));
    }
    for (const { name, value } of heard)
      interventions.push(...patchPart(this.#part(name), positions, { book, source: value, name: `scrubbed ${name}` }));
    this.prompts += random.length;
    return runPlain(this.#engine, this.#pool, random, { readouts, interventions }, this.#run, book);
  }

  #part(name: string): AlignedPart {
    return partOf(this.#alignment, name);
  }

  #agreeing(name: string, refs: readonly number[]): number[] {
    return refs.map((ref) => this.#rng.choice(this.#pool.agreeing(name, ref)));
  }
}

/** The nodes that a site is computed from, itself left out. */
function ancestorsOf(graph: Graph): (site: Site) => ReadonlySet<number> {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const known = new Map<Site, ReadonlySet<number>>();
  return (site) => {
    const found = known.get(site) ?? collect(findSite(graph, site).id);
    known.set(site, found);
    return found;
  };
  function collect(from: number): ReadonlySet<number> {
    const seen = new Set<number>();
    const stack = [from];
    for (let id = stack.pop(); id !== undefined; id = stack.pop())
      for (const input of byId.get(id)?.in ?? [])
        if (!seen.has(input)) {
          seen.add(input);
          stack.push(input);
        }
    return seen;
  }
}
