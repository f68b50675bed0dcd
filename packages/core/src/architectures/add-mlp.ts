import { blockSite, type GraphBuilder, type Place } from '../graph/index.ts';

export type Activation = 'gelu_tanh' | 'gelu_erf' | 'silu' | 'relu';

export interface MlpParts {
  readonly place: Place;
  readonly width: number;
  readonly inner: number;
  readonly activation: Activation;
  /** act(x·W_gate)·(x·W_in) in place of act(x·W_in). */
  readonly gated: boolean;
  readonly biases: boolean;
}

/** @returns what is added to the stream */
export function addMlp(builder: GraphBuilder, parts: MlpParts, read: number): number {
  const at = blockSite(parts.place);
  const { width, inner, activation: fn } = parts;
  const linear = (
    which: 'gate' | 'in' | 'out',
    [from, to]: readonly [number, number],
    x: number,
    site: string,
  ): number =>
    builder.add('linear', [x], {
      params: [
        builder.param(`${at}.mlp.W_${which}`, [from, to]),
        parts.biases ? builder.param(`${at}.mlp.b_${which}`, [to]) : null,
      ],
      attrs: { out: [to] },
      sites: [`${at}.${site}`],
    });
  const post = [`${at}.mlp.hook_post`];
  const first = linear(parts.gated ? 'gate' : 'in', [width, inner], read, 'mlp.hook_pre');
  const active = builder.add('activation', [first], { attrs: { fn }, sites: parts.gated ? [] : post });
  const second = parts.gated ? linear('in', [width, inner], read, 'mlp.hook_pre_linear') : -1;
  const hidden = parts.gated ? builder.add('mul', [active, second], { sites: post }) : active;
  return linear('out', [inner, width], hidden, 'hook_mlp_out');
}
