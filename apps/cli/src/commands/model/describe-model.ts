import type { AnyModel } from '@circuitscope/core/architectures';
import type { Json } from '@circuitscope/schema';
import { numbers } from '../../output/index.ts';
import { describeBlock, describePositions } from './describe-spec.ts';

export interface ModelDescription {
  /** Whole numbers that say how large the model is. */
  readonly sizes: { readonly [name: string]: number };
  /** What else its document says. */
  readonly facts: { readonly [name: string]: Json };
  readonly rows: readonly (readonly [name: string, text: string])[];
}

/** What a model is made of, by its kind, for documents and for people. */
export function describeModel({ spec }: AnyModel): ModelDescription {
  switch (spec.kind) {
    case 'decoder': {
      const { layers, heads, kvHeads, headWidth, width, inner, vocab, context } = spec;
      const shared = kvHeads === heads ? `${heads}` : `${heads}, sharing ${kvHeads} key/value heads`;
      return {
        sizes: {
          ...{ layers, heads, kvHeads, headWidth, width, inner, vocab, context },
          ...(spec.experts ? { experts: spec.experts.count, expertsPerToken: spec.experts.perToken } : {}),
        },
        facts: {
          norm: spec.norm ? { ...spec.norm } : null,
          positions: { ...spec.positions },
          activation: inner > 0 ? spec.activation : null,
          gated: spec.gated,
          tied: spec.tied,
        },
        rows: [
          ['layers', `${layers}`],
          ['heads', `${shared}; ${headWidth} wide each`],
          ['residual stream', `${width} wide`],
          ['block', describeBlock(spec)],
          ['MLP', inner === 0 ? 'none' : `${experts(spec.experts)}${mlp(spec)}`],
          ['vocabulary', vocabulary(spec)],
          ['context', `${numbers.count(context)} tokens, ${describePositions(spec)} positions`],
          ['norm', spec.norm ? `${spec.norm.kind === 'rms' ? 'RMS' : 'layer'} norm, eps ${spec.norm.eps}` : 'none'],
        ],
      };
    }
    case 'encoder': {
      const { layers, heads, headWidth, width, inner, vocab, context, tokenTypes } = spec;
      return {
        sizes: { layers, heads, headWidth, width, inner, vocab, context, tokenTypes },
        facts: {
          norm: { kind: 'layer', eps: spec.eps },
          positions: { kind: 'learned' },
          activation: spec.activation,
          gated: false,
          tied: spec.tied,
        },
        rows: [
          ['layers', `${layers}, reading both ways`],
          ['heads', `${heads}; ${headWidth} wide each`],
          ['stream', `${width} wide, a norm behind every sum`],
          ['MLP', mlp({ ...spec, gated: false })],
          ['vocabulary', vocabulary(spec)],
          ['segments', tokenTypes === 0 ? 'none' : `${tokenTypes}`],
          ['context', `${numbers.count(context)} tokens, learned positions`],
          ['norm', `layer norm, eps ${spec.eps}`],
        ],
      };
    }
    case 'encoder_decoder': {
      const { layers, decoderLayers, heads, headWidth, width, inner, vocab, start, buckets } = spec;
      return {
        sizes: { layers, decoderLayers, heads, headWidth, width, inner, vocab, start },
        facts: {
          norm: { kind: 'rms', eps: spec.eps },
          positions: { kind: 'relative', ...buckets },
          activation: spec.activation,
          gated: spec.gated,
          tied: spec.tied,
        },
        rows: [
          ['layers', `${layers} of the encoder, ${decoderLayers} of the decoder`],
          ['heads', `${heads}; ${headWidth} wide each, in self-attention and in cross-attention`],
          ['residual streams', `${width} wide`],
          ['MLP', mlp(spec)],
          ['vocabulary', vocabulary(spec)],
          ['decoder begins with', `token ${start}`],
          ['positions', `relative, ${buckets.count} buckets up to a distance of ${buckets.maxDistance}`],
          ['norm', `RMS norm, eps ${spec.eps}`],
        ],
      };
    }
    case 'convnet': {
      const [channels, height, width] = spec.image;
      return {
        sizes: { channels, height, width, modules: spec.layers.length },
        facts: {},
        rows: [
          ['images', `${channels} × ${height} × ${width}`],
          ['modules', `${spec.layers.length}`],
        ],
      };
    }
  }
}

function experts(of: { readonly count: number; readonly perToken: number } | undefined): string {
  return of ? `${of.perToken} of ${of.count} experts a token, each of ` : '';
}

function mlp(spec: { readonly inner: number; readonly activation: string; readonly gated: boolean }): string {
  return `${numbers.count(spec.inner)} neurons, ${spec.activation}${spec.gated ? ', gated' : ''}`;
}

function vocabulary(spec: { readonly vocab: number; readonly tied: boolean }): string {
  return `${numbers.count(spec.vocab)}${spec.tied ? ', embedding and unembedding tied' : ''}`;
}
