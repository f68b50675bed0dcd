import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { examineProperty, requireVectorSite } from '@circuitscope/core';
import { modelRef } from '@circuitscope/core/architectures';
import type { FeatureProperty } from '@circuitscope/core/features';
import { type Engine, makePlan, readoutTensor, runPlan } from '@circuitscope/core/plan';
import { digestTensor, type Tensor } from '@circuitscope/core/tensor';
import { CircuitscopeError } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { directionText } from '../../examine/report-text.ts';
import type { Io } from '../../io.ts';
import { badOption, integer, shared, text, valued, withDefault } from '../../options/index.ts';
import { note, numbers, print, progress, styleFor, table } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';
import { promptFrom, tokens } from '../model/prompt-options.ts';
import { readDirection, writeDirection } from './stored-direction.ts';

export const project = command({
  summary: 'a property as a direction at a site: found, measured, projected out',
  details:
    'With --property, finds the direction from the mean of generated near-misses to that of positives, and prints on fresh examples how well it tells them apart (AUROC), beside the best single coordinate of the site, and what projecting it out does to the logit difference, beside random directions. With --direction, takes a direction from a file instead. With --tokens, prints x·u at every position, u of unit length.',
  options: {
    model: modelOption,
    site: text('SITE', 'a site with one vector per position; by default the one that the direction was found at'),
    property: valued('previous=ID|repeated', 'the token before is ID, or the token occurred before', parseProperty),
    direction: text('FILE.safetensors', 'a stored direction (tensor `direction`) instead of a property'),
    pairs: withDefault(
      integer('N', 'positives, and as many near-misses, that find the direction, and again that test it', {
        min: 10,
        max: 100_000,
      }),
      200,
    ),
    tokens,
    out: text('FILE.safetensors', 'keep the direction that was found'),
    force: shared.force,
    seed: shared.seed,
    threads: shared.threads,
  },
  examples: [
    {
      line: 'circuitscope features project --model ./gpt2 --site blocks.4.hook_resid_post --property previous=262 --out before-the.safetensors',
      about: 'find "the token before is 262" and keep it',
    },
    {
      line: 'circuitscope features project --model ./gpt2 --site blocks.4.hook_resid_post --property repeated',
      about: 'is it written anywhere that a token came before?',
    },
    {
      line: "circuitscope features project --model ./gpt2 --direction before-the.safetensors --tokens '[[262,717,262]]'",
      about: 'read a stored direction at every position of a prompt',
    },
  ],
  run: async (options, io) => {
    const { property, pairs, seed } = options;
    if ((property === undefined) === (options.direction === undefined)) {
      throw new CircuitscopeError(
        'bad_option',
        'Say which direction: either --property previous=ID (or repeated), or --direction FILE.safetensors.',
        { at: '--property' },
      );
    }
    if (options.direction !== undefined && options.tokens === undefined) {
      throw new CircuitscopeError(
        'bad_option',
        "A stored direction needs something to be read on: add --tokens '[[1,2,3]]'.",
        { at: '--tokens' },
      );
    }
    const out = outPath(options, io);
    const { model, source, bos } = await openSource(options.model, io);
    const prompt = options.tokens
      ? promptFrom({ tokens: options.tokens, text: undefined, tokenizer: undefined }, model, options.model, io)
      : null;
    const reference = { ...(await modelRef(model)), source };
    const stored = options.direction === undefined ? null : readDirection(options.direction, io);
    const site = options.site ?? stored?.site ?? null;
    if (site === null) {
      throw new CircuitscopeError(
        'missing_option',
        'Say where: --site SITE, such as blocks.0.hook_resid_post; `circuitscope model sites` lists them.',
        { at: '--site' },
      );
    }
    const engine = await chooseEngine(model, io);
    const width = requireVectorSite(engine, site);
    if (stored && stored.direction.data.length !== width) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `${options.direction} holds a direction of length ${stored.direction.data.length}, but ${site} has vectors of ${width}.`,
        { at: site, expected: String(width), got: String(stored.direction.data.length) },
      );
    }
    if (stored?.model && stored.model !== reference.contentHash)
      note(io, `${options.direction} was found in other weights than those of ${model.name}.`);

    using bar = progress(io, 'finding the direction');
    const run = runSettings(options, io);
    const finding = property
      ? await examineProperty(engine, model, {
          site,
          property,
          pairs,
          seed,
          bos,
          run: { ...run, onProgress: (share) => bar.update(share) },
        })
      : null;
    const direction: Tensor = stored
      ? stored.direction
      : { shape: [width], data: Float32Array.from(finding?.vector ?? []) };
    const projections = prompt ? await projectionsOf(engine, site, direction, prompt.tokens, run) : null;
    bar.end();
    if (out !== null && finding)
      writeDirection(out, finding.vector, { site, model: reference.contentHash, property: finding.predicate });

    const document = {
      kind: 'feature_projection',
      version: 1,
      model: reference,
      executor: executorDocument(engine),
      site,
      data: finding ? { seed, pairs, bos } : null,
      finding,
      direction: stored ? { file: options.direction, property: stored.property } : null,
      projections: prompt && projections ? { tokens: prompt.tokens, values: projections } : null,
      out,
    };
    print(io, options, documentOf(document), () =>
      [
        ...(finding ? [directionText(finding)] : []),
        ...(prompt && projections ? [projectionsText(prompt.tokens, projections, io)] : []),
        ...(out === null ? [] : [`Kept: ${options.out}\n`]),
      ].join('\n'),
    );
  },
});

function parseProperty(given: string, name: string): FeatureProperty {
  if (given === 'repeated') return { kind: 'repeated' };
  const [, id] = /^previous=(\d{1,15})$/.exec(given) ?? [];
  if (id !== undefined) return { kind: 'previousIs', token: Number(id) };
  throw badOption(name, 'previous=ID or repeated', given);
}

function outPath(
  options: { readonly out: string | undefined; readonly force: boolean; readonly direction: string | undefined },
  io: Io,
): string | null {
  if (options.out === undefined) return null;
  if (options.direction !== undefined) {
    throw new CircuitscopeError(
      'bad_option',
      '--out keeps a direction that is found with --property; a stored one is kept already.',
      { at: '--out' },
    );
  }
  const path = resolve(io.cwd, options.out);
  if (!existsSync(path) || options.force) return path;
  throw new CircuitscopeError(
    'file_exists',
    `${options.out} exists; add --force to overwrite it, or choose another name.`,
    { at: options.out },
  );
}

/** x·u by [example][position]. */
async function projectionsOf(
  engine: Engine,
  site: string,
  direction: Tensor,
  prompts: readonly (readonly number[])[],
  run: { readonly signal: AbortSignal; readonly threads?: number },
): Promise<number[][]> {
  const hash = digestTensor(direction);
  const plan = makePlan(engine.graph, { readouts: [{ kind: 'project', at: { site }, direction: hash }] });
  const result = await runPlan(engine, plan, { tokens: prompts }, { ...run, artefacts: new Map([[hash, direction]]) });
  const { data } = readoutTensor(result, 0);
  return prompts.map((prompt, example) =>
    Array.from(prompt, (_, at) => data[example * prompt.length + at] ?? Number.NaN),
  );
}

function projectionsText(
  prompts: readonly (readonly number[])[],
  values: readonly (readonly number[])[],
  io: Io,
): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const rows = prompts.flatMap((prompt, example) =>
    prompt.map((id, at) => [
      String(example),
      String(at),
      String(id),
      numbers.fixed(values[example]?.[at] ?? Number.NaN, 4),
    ]),
  );
  return table([right('example'), right('position'), right('token'), right('x·u')], rows, styleFor(io));
}
