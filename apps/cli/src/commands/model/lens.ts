import { extname } from 'node:path';
import { writeSafetensors } from '@circuitscope/core/checkpoints';
import { type LogitLens, logitLens } from '@circuitscope/core/lens';
import type { Tokenizer } from '@circuitscope/core/tokens';
import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { flag, integer, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor, table } from '../../output/index.ts';
import { csvLine, outPath, writeText } from '../../output/write-once.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';
import { viewed, viewOption } from '../../view-option.ts';
import { positionsOption } from './positions-option.ts';
import { bos, bosUsed, mask, offsetsRead, promptFrom, tokenizer, tokens, vocabularyOf } from './prompt-options.ts';
import { tokenId, tokenizerBeside, wordOf } from './token-words.ts';

export const lens = command({
  summary: 'the logit lens: what the stream after each layer would say',
  details:
    'Reads the stream before each layer and at the end as if it were the last, through the last norm and the unembedding: the likeliest tokens, the entropy, and the KL divergence of the final distribution from the one read there. With --token, or at positions whose next token the prompt holds, that token has its log probability and rank (0 is best) in each layer. --out writes every row as .csv, or the numbers as .safetensors, shaped [stream, batch, position].',
  options: {
    model: modelOption,
    tokens,
    text: text('TEXT', 'text instead of token ids'),
    positions: positionsOption,
    token: text('ID|TEXT', 'follow this token (default: the next one of the prompt)'),
    topK: withDefault(integer('K', 'how many of the likeliest tokens', { min: 1, max: 1000 }), 5),
    mid: flag('also read the stream between attention and MLP'),
    view: viewOption,
    out: text('FILE', 'where to write all rows: .csv or .safetensors'),
    mask,
    tokenizer,
    bos,
    threads: shared.threads,
    force: shared.force,
  },
  examples: [
    {
      line: "circuitscope model lens --model ./gpt2 --text 'The Eiffel Tower is in' --token ' Paris'",
      about: 'in which layer the answer appears',
    },
    {
      line: "circuitscope model lens --model ./gpt2 --tokens '[[1,2,3]]' --positions all --out lens.csv",
      about: 'every layer and position',
    },
  ],
  run: async (options, io) => {
    const out = options.out === undefined ? null : outPath(options.out, options.force, io);
    const format = out === null ? null : extname(out);
    if (format !== null && format !== '.csv' && format !== '.safetensors') {
      throw new CircuitscopeError('bad_option', `--out must end in .csv or .safetensors; ${options.out} does not.`, {
        at: '--out',
      });
    }
    const model = viewed(await resolveDecoder(options.model, io), options.view);
    const vocabulary = vocabularyOf(options, options.model, io);
    const prompt = promptFrom({ ...options, vocabulary }, model, options.model, io);
    const words = vocabulary ?? tokenizerBeside(options.tokenizer, options.model, io);
    const engine = await chooseEngine(model, io);
    const at: Pos = options.positions;
    const length = prompt.tokens[0]?.length ?? 0;
    const places = placesOf(at, prompt.mask ?? prompt.tokens.map((row) => row.map(() => 1)));
    const followed = options.token === undefined ? null : tokenId(options.token, words, '--token');
    const target = places.map((row, example) =>
      row.map((position) => followed ?? (position + 1 < length ? (prompt.tokens[example]?.[position + 1] ?? 0) : 0)),
    );
    const known = places.map((row) => row.map((position) => followed !== null || position + 1 < length));
    using bar = progress(io, 'reading');
    const read = await logitLens(engine, prompt, {
      at,
      topK: options.topK,
      target,
      mid: options.mid,
      signal: io.signal,
      ...(options.threads ? { threads: options.threads } : {}),
      onProgress: (share) => bar.update(share),
    });
    bar.end();
    const rows = rowsOf(read, { places, known: known.flat(), target: target.flat() });
    if (out !== null && format === '.csv') writeText(out, csvOf(rows, words));
    if (out !== null && format === '.safetensors') writeTensors(out, read);
    const document = {
      kind: 'logit_lens',
      version: 1,
      model: { name: model.name, contentHash: await model.checkpoint.contentHash(), view: options.view },
      executor: executorDocument(engine),
      bos: bosUsed(options),
      tokens: prompt.tokens,
      offsets: offsetsRead(vocabulary, options),
      out,
      rows,
    };
    print(io, options, documentOf(document), () => textOf(rows, words, io));
  },
});

interface LensRow {
  readonly stream: string;
  readonly example: number;
  readonly position: number;
  readonly top: readonly { readonly id: number; readonly logit: number; readonly logProb: number }[];
  readonly entropy: number;
  readonly klToFinal: number;
  readonly token: {
    readonly id: number;
    readonly logit: number;
    readonly logProb: number;
    readonly rank: number;
  } | null;
}

function rowsOf(
  lens: LogitLens,
  { places, known, target }: { readonly places: number[][]; readonly known: boolean[]; readonly target: number[] },
): LensRow[] {
  const { labels, batch, positions, topK } = lens;
  return labels.flatMap((stream, layer) =>
    Array.from({ length: batch * positions }, (_, place) => {
      const row = layer * batch * positions + place;
      const example = Math.floor(place / positions);
      return {
        stream,
        example,
        position: places[example]?.[place % positions] ?? 0,
        top: Array.from({ length: topK.k }, (__, i) => ({
          id: topK.ids[row * topK.k + i] ?? 0,
          logit: topK.logits[row * topK.k + i] ?? 0,
          logProb: topK.logProbs[row * topK.k + i] ?? 0,
        })),
        entropy: lens.entropy[row] ?? 0,
        klToFinal: lens.klToFinal[row] ?? 0,
        token:
          known[place] && lens.target
            ? {
                id: target[place] ?? 0,
                logit: lens.target.logit[row] ?? 0,
                logProb: lens.target.logProb[row] ?? 0,
                rank: lens.target.rank[row] ?? 0,
              }
            : null,
      };
    }),
  );
}

/** Positions of each example, counted from 0. */
function placesOf(at: Pos, real: readonly (readonly number[])[]): number[][] {
  return real.map((row) => {
    if (at.kind === 'positions') return at.positions.map((index) => (index < 0 ? index + row.length : index));
    return at.kind === 'last' ? [row.lastIndexOf(1)] : row.map((_, index) => index);
  });
}

function csvOf(rows: readonly LensRow[], words: Tokenizer | null): string {
  const head = [
    'example',
    'position',
    'stream',
    'entropy',
    'kl_to_final',
    'token',
    'log_prob',
    'rank',
    'place',
    'top',
    'top_word',
    'top_logit',
    'top_log_prob',
  ];
  const lines = rows.flatMap(({ stream, example, position, entropy, klToFinal, token, top }) =>
    top.map(({ id, logit, logProb }, place) =>
      csvLine([
        example,
        position,
        stream,
        entropy,
        klToFinal,
        token?.id ?? '',
        token?.logProb ?? '',
        token?.rank ?? '',
        place,
        id,
        words ? wordOf(words, id) : '',
        logit,
        logProb,
      ]),
    ),
  );
  return csvLine(head) + lines.join('');
}

function writeTensors(out: string, { labels, batch, positions, topK, entropy, klToFinal, target }: LogitLens): void {
  const shape = [labels.length, batch, positions];
  const f64 = (name: string, data: Float64Array, of: number[] = shape) => ({
    name,
    dtype: 'f64' as const,
    shape: of,
    data,
  });
  const wide = [...shape, topK.k];
  writeSafetensors(
    out,
    [
      f64('entropy', entropy),
      f64('kl_to_final', klToFinal),
      { name: 'top_k.ids', dtype: 'i32', shape: wide, data: topK.ids },
      f64('top_k.log_probs', topK.logProbs, wide),
      {
        name: 'top_k.logits',
        dtype: topK.logits instanceof Float64Array ? 'f64' : 'f32',
        shape: wide,
        data: topK.logits,
      },
      ...(target
        ? [
            f64('token.log_prob', target.logProb),
            { name: 'token.rank', dtype: 'i32' as const, shape, data: target.rank },
          ]
        : []),
    ],
    { streams: labels.join(',') },
  );
}

function textOf(rows: readonly LensRow[], words: Tokenizer | null, io: Parameters<typeof styleFor>[0]): string {
  const style = styleFor(io);
  const places = new Map<string, LensRow[]>();
  for (const row of rows) {
    const key = `example ${row.example}, position ${row.position}`;
    places.set(key, [...(places.get(key) ?? []), row]);
  }
  const right = (title: string) => ({ title, align: 'right' as const });
  const blocks = [...places].map(([place, streams]) => {
    const followed = streams[0]?.token;
    const columns = [
      { title: 'stream' },
      { title: 'likeliest' },
      right('p'),
      right('entropy'),
      right('KL'),
      ...(followed ? [right(`p(${wordOf(words, followed.id)})`), right('rank')] : []),
    ];
    const cells = streams.map(({ stream, top, entropy, klToFinal, token }) => [
      stream,
      top.map(({ id }) => wordOf(words, id)).join('  '),
      numbers.fixed(Math.exp(top[0]?.logProb ?? 0)),
      numbers.fixed(entropy, 2),
      numbers.fixed(klToFinal, 2),
      ...(token ? [numbers.number(Math.exp(token.logProb), 3), numbers.count(token.rank)] : []),
    ]);
    return `${style.bold(place)}\n${table(columns, cells, style)}`;
  });
  return blocks.join('\n');
}
