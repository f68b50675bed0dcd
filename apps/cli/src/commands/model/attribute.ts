import { attributeLogits, type LogitAttribution } from '@circuitscope/core/lens';
import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { badOption, choice, integer, list, required, shared, text, valued, withDefault } from '../../options/index.ts';
import { numbers, print, styleFor, table } from '../../output/index.ts';
import { csvLine, outPath, writeText } from '../../output/write-once.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';
import { viewed, viewOption } from '../../view-option.ts';
import { bos, bosUsed, mask, promptFrom, tokenizer, tokens } from './prompt-options.ts';
import { tokenId, tokenizerBeside } from './token-words.ts';

export const attribute = command({
  summary: 'direct logit attribution: what each part of the stream adds to an answer',
  details:
    'Takes the stream at one position apart into embeddings, attention (or heads) and MLPs (or neurons), and says what each adds to the logit of the answer, or to the difference from a wrong one, with the scale of the last norm held. The parts add up to what the model computes. What a part does through later layers is not in it; circuitscope model patch measures that. Without --wrong, look at the folded view: there the mean over the vocabulary is out of all numbers.',
  options: {
    model: modelOption,
    tokens,
    text: text('TEXT', 'text instead of token ids'),
    answer: required(list('ID|TEXT,…', 'the token that is explained; one, or one per example')),
    wrong: list('ID|TEXT,…', 'subtract the logit of this token'),
    position: withDefault(
      valued<Pos>('last|N', 'where; negative positions count from the end', (given, name) => {
        if (given === 'last') return { kind: 'last' };
        if (/^-?\d{1,9}$/.test(given)) return { kind: 'positions', positions: [Number(given)] };
        throw badOption(name, 'last or a position', given);
      }),
      { kind: 'last' },
      'last',
    ),
    by: withDefault(choice(['layers', 'heads'] as const, 'attention as a whole, or head by head'), 'heads'),
    neurons: list('LAYER,…', 'layers whose MLP is split into its neurons'),
    top: withDefault(integer('N', 'how many parts the text shows, largest first', { min: 1 }), 20),
    view: viewOption,
    out: text('FILE.csv', 'where to write all parts'),
    mask,
    tokenizer,
    bos,
    threads: shared.threads,
    force: shared.force,
  },
  examples: [
    {
      line: "circuitscope model attribute --model ./gpt2 --text 'When John and Mary went to the shops, John gave the bag to' --answer ' Mary' --wrong ' John'",
      about: 'which heads write the answer',
    },
    {
      line: "circuitscope model attribute --model ./gpt2 --tokens '[[1,2,3]]' --answer 7 --by layers --neurons 11 --view folded",
      about: 'layers, and the neurons of the last',
    },
  ],
  run: async (options, io) => {
    const out = options.out === undefined ? null : outPath(options.out, options.force, io);
    const model = viewed(await resolveDecoder(options.model, io), options.view);
    const prompt = promptFrom(options, model, options.model, io);
    const words = tokenizerBeside(options.tokenizer, options.model, io);
    const batch = prompt.tokens.length;
    const ids = (given: readonly string[], option: string): number[] => {
      const found = given.map((one) => tokenId(one, words, option));
      return found.length === 1 ? new Array<number>(batch).fill(found[0] ?? 0) : found;
    };
    const neurons = (options.neurons ?? []).map((layer) => {
      if (/^\d{1,6}$/.test(layer)) return Number(layer);
      throw badOption('--neurons', 'layers such as 0,11', layer);
    });
    const engine = await chooseEngine(model, io);
    const found = await attributeLogits(engine, prompt, {
      answer: ids(options.answer, '--answer'),
      ...(options.wrong ? { wrong: ids(options.wrong, '--wrong') } : {}),
      at: options.position,
      by: options.by,
      neurons,
      signal: io.signal,
      ...(options.threads ? { threads: options.threads } : {}),
    });
    requireFinite(found);
    const parts = found.labels.map((label, part) => ({
      label,
      values: Array.from(found.values.subarray(part * batch, (part + 1) * batch)),
    }));
    if (out !== null) {
      const lines = parts.flatMap(({ label, values }) =>
        values.map((value, example) => csvLine([example, label, value])),
      );
      writeText(out, csvLine(['example', 'part', 'logit']) + lines.join(''));
    }
    const document = {
      kind: 'logit_attribution',
      version: 1,
      model: { name: model.name, contentHash: await model.checkpoint.contentHash(), view: options.view },
      executor: executorDocument(engine),
      bos: bosUsed(options),
      answer: options.answer,
      wrong: options.wrong ?? null,
      logit: Array.from(found.logit),
      sum: Array.from(found.sum),
      out,
      parts,
    };
    print(io, options, documentOf(document), () => {
      const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
      const rows = parts.map(({ label, values }) => ({ label, value: mean(values) }));
      const shown = [...rows].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, options.top);
      const rest = rows.filter((row) => !shown.includes(row)).reduce((sum, { value }) => sum + value, 0);
      const cells = shown.map(({ label, value }) => [label, numbers.fixed(value, 4)]);
      if (shown.length < rows.length) cells.push([`${rows.length - shown.length} others`, numbers.fixed(rest, 4)]);
      const what = options.wrong ? 'logit difference' : 'logit';
      cells.push(['sum', numbers.fixed(mean(Array.from(found.sum)), 4)]);
      const columns = [{ title: 'part' }, { title: what, align: 'right' as const }];
      const over = batch === 1 ? '' : `, means over ${batch} examples`;
      return `${table(columns, cells, styleFor(io))}\nThe model's ${what}: ${numbers.fixed(mean(Array.from(found.logit)), 4)}${over}\n`;
    });
  },
});

/** JSON has no word for what overflowed. */
function requireFinite({ values, labels, examples }: LogitAttribution): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  const label = labels[Math.floor(bad / examples)] ?? '';
  throw new CircuitscopeError(
    'not_finite',
    `What ${label} adds is not a finite number; the model overflows on this prompt.`,
    {
      at: label,
    },
  );
}
