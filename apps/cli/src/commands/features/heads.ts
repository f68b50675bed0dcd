import { modelRef } from '@circuitscope/core/architectures';
import { type HeadScore, type HeadScores, scoreHeads } from '@circuitscope/core/features';
import { toEstimate } from '@circuitscope/core/statistics';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { headsText } from '../../examine/heads-text.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { choice, integer, shared, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';

const orders = ['layer', 'previous-token', 'duplicate-token', 'induction'] as const;

export const heads = command({
  summary: 'what each head attends to: previous token, duplicate token, induction',
  details:
    'Runs random tokens that are repeated once and measures, over the queries of the second half, how much attention falls on the token before, on the earlier copy of the token, and on the token after that copy. Intervals are 95 % over examples; the last row is what attention spread evenly would score. A score says where a head looks, not what it moves.',
  options: {
    model: modelOption,
    examples: withDefault(integer('N', 'generated prompts', { min: 2, max: 65_536 }), 32),
    half: integer('N', 'tokens that are repeated (default: up to 24, as the context allows)', { min: 2 }),
    sort: withDefault(choice(orders, 'order of the heads'), 'layer'),
    seed: shared.seed,
    threads: shared.threads,
  },
  examples: [
    { line: 'circuitscope features heads --model ./gpt2 --sort induction', about: 'the heads that induce, first' },
    {
      line: 'circuitscope features heads --model zoo:induction-handwritten --json',
      about: 'scores with intervals and chance, for another program',
    },
  ],
  run: async (options, io) => {
    const { model, source, bos } = await openSource(options.model, io);
    const engine = await chooseEngine(model, io);
    const { seed, examples, half, sort } = options;
    const start = performance.now();
    using bar = progress(io, 'scoring heads');
    const run = { ...runSettings(options, io), onProgress: (share: number) => bar.update(share) };
    const size = { seed, examples, bos, ...(half ? { half } : {}), run };
    const scored = [...(await scoreHeads(engine, model.spec, size))].sort(byOrder(sort));
    bar.end();
    const wallTimeMs = performance.now() - start;
    const rows = scored.map(({ layer, head, previousToken, duplicateToken, induction }) => ({
      layer,
      head,
      previousToken: scoreDocument(previousToken),
      duplicateToken: scoreDocument(duplicateToken),
      induction: scoreDocument(induction),
    }));
    const document = {
      kind: 'head_scores',
      version: 1,
      model: { ...(await modelRef(model)), source },
      executor: executorDocument(engine),
      data: { seed, examples, half: half ?? null, bos },
      heads: rows,
    };
    print(io, options, documentOf(document), () => {
      return `${headsText(rows, styleFor(io))}\n${examples} examples, ${numbers.duration(wallTimeMs)}\n`;
    });
  },
});

function scoreDocument(score: HeadScore) {
  return { estimate: toEstimate(score), chance: score.chance };
}

/** The highest first; by layer as they stand. */
function byOrder(order: (typeof orders)[number]): (a: HeadScores, b: HeadScores) => number {
  if (order === 'layer') return (a, b) => a.layer - b.layer || a.head - b.head;
  const key = (
    { 'previous-token': 'previousToken', 'duplicate-token': 'duplicateToken', induction: 'induction' } as const
  )[order];
  return (a, b) => b[key].value - a[key].value || a.layer - b.layer || a.head - b.head;
}
