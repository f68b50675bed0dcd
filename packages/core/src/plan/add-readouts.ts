import { CircuitscopeError, type Pos, type Readout } from '@circuitscope/schema';
import type { GraphRewrite } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { addVocabReadout } from './add-vocab-readout.ts';
import { requireSite } from './apply-interventions.ts';
import { type BindContext, NOT_COUNTED, positionSizes, resolvePositions, rowsOf, textOf } from './bind.ts';
import { capped, finalRead, idFor, inVocabulary, logitsOf, type ReadoutNodes, unembedding } from './final-read.ts';
import { boundShape } from './program.ts';
import { checkScope, layoutOf } from './site-layout.ts';
import { unitVector } from './unit-vector.ts';
import { artefact } from './values.ts';

// Readouts are nodes too. A logit difference needs two columns of the unembedding at one position, not the vocabulary at
// all of them.

/**
 * @param throughNorm where the values of the last norm themselves are looked at, by a gradient: gather behind it
 */
export function addReadout(
  rewrite: GraphRewrite,
  readout: Exclude<Readout, { kind: 'gradient' | 'latents' }>,
  throughNorm = false,
): ReadoutNodes {
  switch (readout.kind) {
    case 'capture': {
      const node = requireSite(rewrite, readout.at.site);
      checkScope(layoutOf(rewrite.root(node.id), readout.at.site), readout.at);
      return { nodes: [node.id], externals: [] };
    }
    case 'project': {
      const node = requireSite(rewrite, readout.at.site);
      const width = node.shape[node.shape.length - 1] ?? 0;
      checkScope(layoutOf(rewrite.root(node.id), readout.at.site), readout.at);
      if (readout.at.unit || readout.at.key) {
        throw new CircuitscopeError(
          'bad_scope',
          `A projection at ${readout.at.site} takes whole vectors; its scope cannot name single entries of them.`,
          { at: readout.at.site },
        );
      }
      const direction = rewrite.external(`direction:${readout.direction}`, [width]);
      const make = (context: BindContext): Floats => {
        const { data } = artefact(readout.direction, context);
        return unitVector(data, boundShape([width], positionSizes(context))[0] ?? 0, readout.at.site);
      };
      return { nodes: [rewrite.add('project_dot', [node.id, direction])], externals: [{ node: direction, make }] };
    }
    case 'logitDiff': {
      const ids = rewrite.external('ids:logitDiff', ['rows', 2], 'i32');
      const product = unembedding(rewrite);
      const read = product.classes ? null : finalRead(rewrite, readout.at, throughNorm);
      const node = read
        ? capped(rewrite, rewrite.add('columns', [read.node, ids], { params: product.params, attrs: { count: 2 } }))
        : rewrite.add('gather_rows', [requireSite(rewrite, 'logits').id, ids]);
      const make = (context: BindContext): Int32Array =>
        Int32Array.from(
          rowsOf(context, 'rows').flatMap(({ example }) => [
            idFor(readout.answer, example, product.vocab, 'answer'),
            idFor(readout.wrong, example, product.vocab, 'wrong answer'),
          ]),
        );
      return { nodes: [node], externals: [...(read?.externals ?? []), { node: ids, make }] };
    }
    case 'topK': {
      if (unembedding(rewrite).classes) {
        const logits = requireSite(rewrite, 'logits').id;
        return { nodes: [rewrite.add('top_k', [logits], { attrs: { k: readout.k } })], externals: [] };
      }
      const read = finalRead(rewrite, readout.at);
      const logits = logitsOf(rewrite, read.node);
      const top = rewrite.add('top_k', [logits], { attrs: { k: readout.k } });
      return { nodes: [top], externals: read.externals };
    }
    case 'entropy':
    case 'logProb':
    case 'rank':
    case 'kl':
      return addVocabReadout(rewrite, readout);
    case 'loss': {
      const logits = requireSite(rewrite, 'logits').id;
      const { vocab, classes } = unembedding(rewrite);
      const ids = rewrite.external('ids:loss', classes ? ['rows'] : ['rows', 'pos'], 'i32');
      const bothWays = readsBothWays(rewrite);
      const make = (context: BindContext): Int32Array => {
        if (bothWays && !context.prompt.targets) throw noTargets();
        return classes ? labelsOf(context, vocab) : nextTokens(context, readout.at ?? { kind: 'all' }, vocab);
      };
      return { nodes: [rewrite.add('cross_entropy', [logits, ids])], externals: [{ node: ids, make }] };
    }
  }
}

/** Entries that count in a loss: the prompt's targets, or token t+1 at t where both are real. Others are -100. */
function nextTokens(context: BindContext, at: Pos, vocab: number): Int32Array {
  const { targets } = context.prompt;
  const { tokens, mask } = textOf(context.prompt);
  const rows = rowsOf(context, 'rows');
  const ids = new Int32Array(rows.length * context.pos).fill(NOT_COUNTED);
  rows.forEach(({ example }, row) => {
    for (const pos of resolvePositions(at, example, context)) {
      if (targets) {
        const target = targets[example]?.[pos] ?? NOT_COUNTED;
        if (target !== NOT_COUNTED) ids[row * context.pos + pos] = inVocabulary(target, vocab, 'target');
        continue;
      }
      const next = tokens[example]?.[pos + 1];
      if (next === undefined || mask?.[example]?.[pos] === 0 || mask?.[example]?.[pos + 1] === 0) continue;
      ids[row * context.pos + pos] = inVocabulary(next, vocab, 'token');
    }
  });
  return ids;
}

/** Whether a model's attention sees later tokens everywhere: the next token is then no question to ask it. */
function readsBothWays({ source }: GraphRewrite): boolean {
  const attentions = source.nodes.filter(({ op }) => op === 'scores');
  return attentions.length > 0 && attentions.every(({ attrs }) => attrs.causal !== true);
}

function noTargets(): CircuitscopeError {
  return new CircuitscopeError(
    'bad_prompt',
    'This model reads later tokens too, so a loss of the next one means nothing; give targets: the token wanted at each position, or -100.',
    { at: 'targets' },
  );
}

/** The class of each image. */
function labelsOf(context: BindContext, classes: number): Int32Array {
  const { labels } = context.prompt;
  if (!labels) {
    throw new CircuitscopeError('bad_prompt', 'A loss of classes needs the label of each image; give labels.', {
      at: 'labels',
    });
  }
  return Int32Array.from(rowsOf(context, 'rows'), ({ example }) =>
    inVocabulary(labels[example] ?? -1, classes, 'class'),
  );
}
