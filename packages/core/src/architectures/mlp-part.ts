import type { Dim, GraphBuilder } from '../graph/index.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { addExperts } from './experts-part.ts';
import { addNorm } from './norm-part.ts';

/** From what an MLP reads to what it writes, named by `sites`. */
export function addMlp(
  builder: GraphBuilder,
  spec: DecoderSpec,
  layer: number,
  read: number,
  sites: readonly string[],
): number {
  if (spec.experts) return addExperts(builder, spec, layer, read, sites);
  const at = `blocks.${layer}.mlp`;
  const linear = (part: string, shape: readonly [number, number], from: number, names: readonly string[]): number =>
    builder.add('linear', [from], {
      params: [
        builder.param(`${at}.W_${part}`, shape),
        spec.biases.mlp ? builder.param(`${at}.b_${part}`, [shape[1]]) : null,
      ],
      attrs: { out: [shape[1]] as readonly Dim[] },
      sites: names,
    });
  const into = [spec.width, spec.inner] as const;
  const activate = (x: number, names: readonly string[]): number =>
    spec.activation === 'solu'
      ? builder.add('mul', [x, builder.add('softmax', [x])], { sites: names })
      : builder.add('activation', [x], { attrs: { fn: spec.activation }, sites: names });
  const norm = spec.mlpNorm ? spec.norm : null;
  let post: number;
  if (spec.gated) {
    const gate = linear('gate', into, read, [`${at}.hook_pre`]);
    const up = linear('in', into, read, [`${at}.hook_pre_linear`]);
    post = builder.add('mul', [activate(gate, []), up], { sites: [`${at}.hook_post`] });
  } else {
    post = activate(linear('in', into, read, [`${at}.hook_pre`]), [norm ? `${at}.hook_mid` : `${at}.hook_post`]);
  }
  if (norm) post = addNorm(builder, norm, `${at}.ln`, post, { width: spec.inner, sites: [`${at}.hook_post`] });
  return linear('out', [spec.inner, spec.width], post, sites);
}
