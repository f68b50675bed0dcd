import {
  attributeLogits,
  type Engine,
  type LogitAttribution,
  logitLens,
  makePlan,
  readoutTensor,
  runPlan,
} from '@circuitscope/core';
import { type AttributionPart, CircuitscopeError, type LensCell, type LogitLensView } from '@circuitscope/schema';
import { MOST_TOKENS, type Reading, type ReadingRequest } from '../live/reading.ts';
import { openKnownDecoder } from './open-models.ts';
import { readText, readToken, sourcesIn, spell } from './read-text.ts';

/** What is shown of a cell, likeliest first. */
const TOP = 6;

/** Everything that the prompt page shows of one text, from runs made now. */
export async function readingOf(name: string, request: ReadingRequest, signal: AbortSignal): Promise<Reading> {
  const open = await openKnownDecoder(name);
  const { model, engine } = open;
  const ids = readText(open, request.text);
  const most = Math.min(MOST_TOKENS, model.spec.context);
  if (ids.length > most) {
    throw new CircuitscopeError('too_long', `The prompt has ${ids.length} tokens; this page reads up to ${most}.`, {
      expected: `at most ${most}`,
      got: String(ids.length),
    });
  }
  const empty = { kind: 'token_strip' as const, tokens: [] };
  if (ids.length === 0) return { strip: empty, lens: null, attribution: null, notes: [], patterns: [], next: [] };
  const answer = request.answer === '' ? null : readToken(open, request.answer, 'answer');
  const wrong = request.wrong === '' ? null : readToken(open, request.wrong, 'wrong answer');
  const prompt = { tokens: [ids] };
  const texts = ids.map((id) => spell(open, id));
  const sources = sourcesIn(open, request.text);
  const notes: string[] = [];
  const orNote = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !(error instanceof CircuitscopeError)) throw error;
      notes.push(error.message);
      return null;
    }
  };
  const lens = await orNote(() => lensOf(engine, ids, texts, (id) => spell(open, id), signal));
  const last = lens ? lens.cells.slice(-ids.length) : [];
  const strip = {
    kind: 'token_strip' as const,
    tokens: ids.map((id, at) => {
      const next = last[at - 1]?.next;
      const [text = '', source = ''] = [texts[at], sources[at]];
      // How vocabularies write that a word begins or goes on is no difference.
      const isSame = source.trim() === '' || text.replace(/^(?:▁+|##)/, '').trim() === source.trim();
      return { id, text, ...(isSame ? {} : { source }), ...(next ?? {}) };
    }),
  };
  const next = [...(last.at(-1)?.top ?? [])];
  const explained = answer ?? next[0]?.id;
  const attribution =
    explained === undefined
      ? null
      : await orNote(async () => {
          const found = await attributeLogits(engine, prompt, {
            answer: [explained],
            ...(wrong === null ? {} : { wrong: [wrong] }),
            at: { kind: 'last' },
            by: 'heads',
            signal,
          });
          return {
            kind: 'logit_attribution' as const,
            answer: { id: explained, text: spell(open, explained) },
            ...(wrong === null ? {} : { wrong: { id: wrong, text: spell(open, wrong) } }),
            parts: partsOf(found),
            logit: requireFinite(found.logit[0] ?? 0),
            sum: requireFinite(found.sum[0] ?? 0),
          };
        });
  const patterns = (await orNote(() => patternsOf(engine, model.spec.layers, ids, signal))) ?? [];
  return { strip, lens, attribution, notes, patterns, next };
}

async function lensOf(
  engine: Engine,
  ids: readonly number[],
  texts: readonly string[],
  word: (id: number) => string,
  signal: AbortSignal,
): Promise<LogitLensView> {
  const target = [ids.map((_, at) => ids[at + 1] ?? 0)];
  const read = await logitLens(engine, { tokens: [[...ids]] }, { at: { kind: 'all' }, topK: TOP, target, signal });
  const { topK, positions } = read;
  const cells = Array.from(read.entropy, (entropy, row): LensCell => {
    const logProb = requireFinite(read.target?.logProb[row] ?? 0);
    const known = row % positions < positions - 1;
    return {
      top: Array.from({ length: topK.k }, (_, place) => {
        const id = topK.ids[row * topK.k + place] ?? 0;
        return { id, text: word(id), logProb: round(topK.logProbs[row * topK.k + place] ?? 0) };
      }),
      entropy: round(entropy),
      klToFinal: round(read.klToFinal[row] ?? 0),
      ...(known ? { next: { logProb: round(logProb), rank: read.target?.rank[row] ?? 0 } } : {}),
    };
  });
  return { kind: 'logit_lens', streams: [...read.labels], tokens: [...texts], cells };
}

function partsOf({ labels, values }: LogitAttribution): AttributionPart[] {
  return labels.map((label, at): AttributionPart => {
    const value = requireFinite(values[at] ?? 0);
    const head = /^L(\d+)H(\d+)$/.exec(label);
    if (head) return { label, kind: 'head', layer: Number(head[1]), head: Number(head[2]), value };
    const branch = /^(\d+)_(attn|mlp)_out$/.exec(label);
    if (branch) return { label, kind: branch[2] === 'attn' ? 'attention' : 'mlp', layer: Number(branch[1]), value };
    return { label, kind: label.includes('bias') ? 'bias' : 'embedding', value };
  });
}

async function patternsOf(engine: Engine, layers: number, ids: readonly number[], signal: AbortSignal) {
  const sites = Array.from({ length: layers }, (_, layer) => `blocks.${layer}.attn.hook_pattern`);
  const plan = makePlan(engine.graph, { readouts: sites.map((site) => ({ kind: 'capture' as const, at: { site } })) });
  const run = await runPlan(engine, plan, { tokens: [[...ids]] }, { signal });
  return sites.map((_, layer) => {
    // [batch = 1, head, query, key]
    const { shape, data } = readoutTensor(run, layer);
    const [, heads = 0, queries = 0, keys = 0] = shape;
    return range(heads).map((head) =>
      range(queries).map((query) =>
        range(keys).map((key) => Math.round((data[(head * queries + query) * keys + key] ?? 0) * 1e3) / 1e3),
      ),
    );
  });
}

/** JSON has no word for what overflowed. */
function requireFinite(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new CircuitscopeError('not_finite', 'The model overflows on this prompt: a logit is not a finite number.');
}

const round = (value: number) => Number(requireFinite(value).toPrecision(7));
const range = (length: number) => Array.from({ length }, (_, index) => index);
