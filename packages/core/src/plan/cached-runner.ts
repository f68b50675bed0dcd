import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Plan } from '@circuitscope/schema';
import { type Graph, withPast } from '../graph/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import { type BindContext, checkPrompt, type Prompt } from './bind.ts';
import { checkInputs } from './check-inputs.ts';
import { Collector } from './collect-results.ts';
import { compile } from './compile.ts';
import { countProducts } from './count-products.ts';
import { editWeights } from './edit-weights.ts';
import { encodedName } from './encoded-once.ts';
import { requireFixed } from './fix-positions.ts';
import { groupVariants } from './group-variants.ts';
import { appendRows, type CacheOrigin, entriesOf, type KeyValueCache, requireOrigin } from './key-value-cache.ts';
import { positionAxes } from './position-axes.ts';
import { boundShape } from './program.ts';
import type { Run } from './run.ts';
import { type Engine, type RunOptions, requirePlanOf } from './run-plan.ts';
import { sliceReadout } from './slice-readout.ts';

// A text that grows, without computing its past again: keys and values of each layer, as they are after all changes, are
// what later positions read of earlier ones. Every kernel gives a row the same bits whatever else is computed with it, so
// runs in pieces have the bits of a run of the whole.

export interface CachedRunner {
  /**
   * Runs the tokens that follow what the cache holds (null: nothing yet).
   * @param chunk of an encoder-decoder, what its decoder reads: tokens [batch][n] and their mask; captures of the run are of these positions alone
   * @throws CircuitscopeError `wrong_cache`, `looks_ahead`, and whatever a plan throws
   */
  extend(
    cache: KeyValueCache | null,
    chunk: Pick<Prompt, 'tokens' | 'mask'>,
    options?: Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes'>,
  ): Promise<{ readonly run: Run; readonly cache: KeyValueCache }>;
}

export interface CachedRunnerOptions extends Pick<RunOptions, 'runs' | 'artefacts'> {
  /** How long the prompt is, padding included; `generated` positions come behind it. */
  readonly from: number;
  /** What the encoder of an encoder-decoder reads. It runs once, with the first piece. */
  readonly source?: Pick<Prompt, 'tokens' | 'mask'>;
}

/**
 * Compiles a plan to be run over a text in pieces.
 *
 * @throws CircuitscopeError `no_cache` for models that read later positions, `moving_position`, `unsupported` for sweeps,
 *   gradients, losses and readouts at single positions other than the last
 */
export function cachedRunner(engine: Engine, plan: Plan, options: CachedRunnerOptions): CachedRunner {
  requirePlanOf(engine.graph, plan);
  requireFixed(plan.interventions);
  const { source } = options;
  requireSource(engine.graph, source);
  const { graph, state } = withPast(engine.graph);
  requirePieces(plan, engine.graph);
  const artefacts = options.artefacts ?? new Map<Hash, Tensor>();
  const runs = options.runs ?? new Map<string, Run>();
  const [group] = groupVariants(graph, [plan.interventions]);
  const edited = editWeights(graph, engine.weights, group?.weightEdits ?? [], artefacts);
  const request = {
    graph,
    variants: group?.changes ?? [[]],
    readouts: plan.readouts,
    renamedParams: edited.renamed,
    state,
  };
  const first = compile({ ...request, ...(source ? { encoded: 'keep' } : {}) });
  let later = source ? null : first;
  const versions = versionsOf(engine);
  const origin: CacheOrigin = {
    plan: planHash(plan, options.from, runs),
    weights: engine.weights,
    versions,
    executor: engine.executor,
    source: canonicalJson(source ?? null),
    runs: [...runs.values()],
  };

  return {
    async extend(cache, chunk, settings = {}) {
      if (cache) requireOrigin(cache, { ...origin, versions: versionsOf(engine) });
      else if (versionsOf(engine).join() !== versions.join()) throw staleRunner();
      const { batch, pos } = checkPrompt(chunk);
      const before = cache?.tokens[0]?.length ?? 0;
      if (cache && cache.tokens.length !== batch) {
        throw new CircuitscopeError(
          'shape_mismatch',
          `These are tokens of ${batch} texts; the cache holds ${cache.tokens.length}.`,
          { expected: String(cache.tokens.length), got: String(batch) },
        );
      }
      const added = chunk.mask ?? chunk.tokens.map((row) => row.map(() => 1));
      const tokens = chunk.tokens.map((row, example) => [...(cache?.tokens[example] ?? []), ...row]);
      const mask = added.map((row, example) => [...(cache?.mask[example] ?? []), ...row]);
      const grows = { from: options.from };
      const prompt: Prompt = source
        ? { ...source, decoderTokens: tokens, decoderMask: mask, grows }
        : { tokens, mask, grows };
      const sizes = checkPrompt(prompt);
      checkInputs(graph, prompt);
      const past = new Map<string, Floats>(
        state.map(({ name }) => {
          const rows = cache?.state.get(name);
          return [name, rows ? entriesOf(rows) : new Float32Array(0)];
        }),
      );
      const context: BindContext = {
        prompt,
        ...sizes,
        variants: [0],
        runs,
        artefacts,
        past: { length: before, state: past },
        ...(cache ? { encoded: cache.encoded } : {}),
      };
      later ??= cache ? compile({ ...request, encoded: 'give' }) : null;
      const compiled = cache && later ? later : first;
      const binding = compiled.bind(context);
      const outputs = await engine.executor.execute(compiled.program, edited.weights, binding, settings);

      const results = new Collector(plan.readouts, null, batch);
      results.add(
        [0],
        compiled,
        outputs,
        new Map(
          compiled.program.outputs.map(({ name, value }) => [
            name,
            boundShape(compiled.program.values[value]?.shape ?? [], binding.sizes),
          ]),
        ),
      );
      const whole: Run = {
        variants: null,
        batch,
        pos,
        mask: added,
        ...(source ? { source: { pos: sizes.source ?? 0, mask: source.mask ?? null } } : {}),
        readouts: plan.readouts,
        results: results.finish(),
        multiplyAdds: countProducts(compiled.program, binding.sizes, edited.weights),
      };
      const sliced = whole.results.map((result, index) =>
        sliceReadout(graph, plan.readouts[index], result, whole, context),
      );
      const grown = new Map(
        state.map(({ name }) => {
          const rows = outputs[name];
          if (!rows || rows instanceof Int32Array) {
            throw new CircuitscopeError('bad_program', `The program gave no ${name}.`, { at: name });
          }
          return [name, appendRows(cache?.state.get(name), rows, batch)] as const;
        }),
      );
      const encoded = cache?.encoded ?? encodedOf(outputs);
      return { run: { ...whole, results: sliced }, cache: { origin, tokens, mask, state: grown, encoded } };
    },
  };
}

/** What the first piece leaves of the encoder for later ones, in order. */
function encodedOf(outputs: Awaited<ReturnType<Engine['executor']['execute']>>): Floats[] {
  const found: Floats[] = [];
  for (let data = outputs[encodedName(0)]; data; data = outputs[encodedName(found.length)]) {
    if (data instanceof Int32Array) break;
    found.push(data);
  }
  return found;
}

function requireSource(graph: Graph, source: CachedRunnerOptions['source']): void {
  const wanted = graph.inputs.decoder_tokens !== undefined;
  if (wanted === (source !== undefined)) return;
  const sentence = wanted
    ? 'This model has an encoder that reads a text of its own; give it as the source.'
    : 'This model reads one text; it has no use for a source.';
  throw new CircuitscopeError('bad_prompt', sentence, { at: 'source' });
}

/** Readouts that a piece of a text can give. */
function requirePieces(plan: Plan, graph: Graph): void {
  const refuse = (what: string): never => {
    throw new CircuitscopeError('unsupported', `A run in pieces cannot give ${what}; run the whole text at once.`, {
      got: what,
    });
  };
  if (plan.sweep) refuse('a sweep');
  for (const readout of plan.readouts) {
    switch (readout.kind) {
      case 'gradient':
      case 'latents':
      case 'loss':
        refuse(`a ${readout.kind}`);
        break;
      case 'capture':
      case 'project':
        if (readout.at.at || readout.at.key) refuse(`${readout.at.site} at chosen positions`);
        if (positionAxes(graph, readout.at.site).at === 'source') refuse(`${readout.at.site}, which is the encoder's`);
        break;
      case 'kl':
        refuse('a divergence from another run');
        break;
      case 'rank':
      case 'logProb':
        if (readout.at.kind !== 'last') refuse(`a ${readout.kind} anywhere but at the end`);
        break;
      case 'logitDiff':
      case 'entropy':
      case 'topK':
        if (readout.at.kind !== 'all' && readout.at.kind !== 'last') refuse(`a ${readout.kind} at chosen positions`);
    }
  }
}

/** Readouts do not count: a cache serves every plan that makes the same changes. */
function planHash(plan: Plan, from: number, runs: ReadonlyMap<string, Run>): Hash {
  const { graph, interventions } = plan;
  const text = canonicalJson({ graph, interventions, from, runs: [...runs.keys()] });
  return `sha256:${createHash('sha256').update(text).digest('hex')}` as Hash;
}

function versionsOf({ weights }: Engine): number[] {
  return [...weights.values()].map((weight) => weight.version?.() ?? 0);
}

function staleRunner(): CircuitscopeError {
  return new CircuitscopeError(
    'wrong_cache',
    'The weights have changed since this plan was compiled for runs in pieces; compile it again.',
  );
}
