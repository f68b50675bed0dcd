import { endTokens, generateTogether } from '@circuitscope/core';
import { CircuitscopeError, type Intervention } from '@circuitscope/schema';
import type { GenerationEvent, GenerationRequest } from '../live/generation.ts';
import { inTurn } from './busy.ts';
import { type OpenModel, openKnownDecoder } from './open-models.ts';
import { readText, spell } from './read-text.ts';

/** Continues a text, and says what it has after every token. */
export async function continueText(
  name: string,
  request: GenerationRequest,
  send: (event: GenerationEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const open = await openKnownDecoder(name);
  const { model, engine } = open;
  const ids = readText(open, request.text);
  const { steps, temperature, topK, topP, seed, count } = request;
  const interventions = ablations(request.ablate, model.spec);
  await inTurn(
    signal,
    async () => {
      const start = performance.now();
      const added: number[][] = Array.from({ length: count }, () => []);
      const prompts = added.map(() => ids);
      const settings = {
        steps,
        temperature,
        seed,
        interventions,
        signal,
        stop: endTokens(model),
        topP,
        ...(topK > 0 ? { topK } : {}),
      };
      // A text that ends before the last step ended by itself: at a token that ends texts, or where the context is full.
      const ended = new Set<number>();
      let step = 0;
      for await (const next of generateTogether(engine, model.spec, prompts, settings)) {
        next.forEach((id, text) => {
          if (id !== null) added[text]?.push(id);
        });
        step += 1;
        send({ kind: 'texts', texts: added.map((own) => textBehind(open, ids, own)), steps: step });
        next.forEach((id, text) => {
          if (id === null) ended.add(text);
        });
      }
      const tokens = added.reduce((sum, own) => sum + own.length, 0);
      const byItself = step < steps ? count : ended.size;
      send({ kind: 'end', wallTimeMs: performance.now() - start, tokens, ended: byItself });
    },
    'long',
  );
}

/** What the new tokens add to the decoded prompt, or their own spelling where decoding changes what stood before. */
function textBehind(open: OpenModel, prompt: readonly number[], added: readonly number[]): string {
  const { tokenizer } = open;
  if (!tokenizer) return added.map((id) => `${id} `).join('');
  const before = tokenizer.decode(prompt);
  const whole = tokenizer.decode([...prompt, ...added]);
  return whole.startsWith(before) ? whole.slice(before.length) : added.map((id) => spell(open, id)).join('');
}

function ablations(
  text: string,
  { layers, heads }: { readonly layers: number; readonly heads: number },
): Intervention[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => {
      const [, layer, head] = /^(\d{1,4})\.(\d{1,4})$/.exec(word) ?? [];
      if (layer !== undefined && head !== undefined && Number(layer) < layers && Number(head) < heads) {
        return {
          kind: 'write',
          at: { site: `blocks.${Number(layer)}.attn.hook_z`, head: [Number(head)] },
          op: 'set',
          value: { kind: 'const', value: 0 },
        };
      }
      throw new CircuitscopeError(
        'unknown_unit',
        `“${word.slice(0, 20)}” is no head of this model; write LAYER.HEAD, up to ${layers - 1}.${heads - 1}.`,
        { got: word.slice(0, 20) },
      );
    });
}
