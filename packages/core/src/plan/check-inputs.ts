import { CircuitscopeError } from '@circuitscope/schema';
import type { Graph } from '../graph/index.ts';
import { graphInputs, type Prompt } from './bind.ts';

/**
 * Refuses token and position ids for which the model has no row, before anything runs.
 * @throws CircuitscopeError `out_of_range`
 */
export function checkInputs(graph: Graph, prompt: Prompt): void {
  checkImages(graph, prompt);
  checkSides(graph, prompt);
  if (prompt.tokenTypes && graph.inputs.token_types === undefined) {
    throw new CircuitscopeError('bad_prompt', 'This model tells no segments apart; it has no use for tokenTypes.', {
      at: 'tokenTypes',
    });
  }
  const inputs = graphInputs(prompt);
  for (const [name, size] of tableSizes(graph)) {
    const at = inputs[name]?.findIndex((id) => id >= size) ?? -1;
    if (at < 0) continue;
    const id = inputs[name]?.[at];
    const pos = (name === 'decoder_tokens' ? prompt.decoderTokens : prompt.tokens)?.[0]?.length ?? 1;
    const where = `example ${Math.floor(at / pos)}, position ${at % pos}`;
    const sentence =
      name === 'token_types'
        ? `The segment ${id} in ${where} is none of the ${size} that this model tells apart.`
        : name === 'tokens' || name === 'decoder_tokens'
          ? `Token ${id} in ${where} is not in the vocabulary of ${size} tokens.`
          : `The position id ${id} in ${where} lies beyond the context of ${size} tokens; use shorter prompts.`;
    throw new CircuitscopeError('out_of_range', sentence, { at: where, expected: `0 to ${size - 1}`, got: String(id) });
  }
}

/** What a decoder reads is there if the model has a decoder beside its encoder, and only then. */
function checkSides(graph: Graph, { decoderTokens, decoderMask }: Prompt): void {
  const wanted = graph.inputs.decoder_tokens !== undefined;
  if (wanted ? decoderTokens !== undefined : !decoderTokens && !decoderMask) return;
  const sentence = wanted
    ? 'This model has a decoder that reads a text of its own; give decoderTokens too, beginning with the token that starts a text.'
    : 'This model reads one text; it has no use for decoderTokens.';
  throw new CircuitscopeError('bad_prompt', sentence, { at: 'decoderTokens' });
}

/** Images are there if the graph looks at some, and of its sizes; labels are one an image. */
function checkImages(graph: Graph, { images, labels, tokens }: Prompt): void {
  const wanted = graph.nodes[graph.inputs.images ?? -1]?.shape.slice(1);
  if (!wanted && !images) return;
  if (!wanted || !images) {
    const sentence = wanted
      ? 'This model looks at images; give a prompt of images.'
      : 'This model reads tokens; it has no use for images.';
    throw new CircuitscopeError('bad_prompt', sentence, { at: 'images' });
  }
  const expected = `[${[tokens.length, ...wanted].join(', ')}]`;
  const got = `[${images.shape.join(', ')}]`;
  if (expected !== got || images.data.length !== images.shape.reduce((a, b) => a * b, 1)) {
    throw new CircuitscopeError('bad_prompt', `The images of this prompt are ${got}; the model wants ${expected}.`, {
      at: 'images',
      expected,
      got,
    });
  }
  if (labels && labels.length !== tokens.length) {
    throw new CircuitscopeError('bad_prompt', `There are ${labels.length} labels for ${tokens.length} images.`, {
      at: 'labels',
      expected: String(tokens.length),
      got: String(labels.length),
    });
  }
}

/** How many ids each input of the graph may tell apart: the rows of the smallest table that it looks up. */
function tableSizes(graph: Graph): ReadonlyMap<string, number> {
  const params = new Map(graph.params.map(({ name, shape }) => [name, shape]));
  const names = new Map(Object.entries(graph.inputs).map(([name, id]) => [id, name]));
  const sizes = new Map<string, number>();
  for (const {
    op,
    in: inputs,
    params: [table],
    attrs,
  } of graph.nodes) {
    if (op === 'input' && typeof attrs.context === 'number')
      sizes.set('positions', Math.min(attrs.context, sizes.get('positions') ?? attrs.context));
    if (op !== 'embed' && op !== 'rotary') continue;
    const name = names.get(inputs[op === 'embed' ? 0 : 1] ?? -1);
    const [rows = 0, columns = 0] = params.get(table ?? '') ?? [];
    const size = op === 'rotary' ? (2 * rows) / Number(attrs.dims) : attrs.transposed === true ? columns : rows;
    if (name !== undefined) sizes.set(name, Math.min(size, sizes.get(name) ?? size));
  }
  return sizes;
}
