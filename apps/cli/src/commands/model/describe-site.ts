// What the sites of TransformerLens hold. Before or after a norm, a rotation or a bias is where names mislead, so each says it.

const meanings: readonly (readonly [pattern: RegExp, meaning: string])[] = [
  [/^hook_embed$/, 'token embeddings as they enter the stream, before positions are added'],
  [/^(encoder|decoder)\.hook_embed$/, 'token embeddings of this text'],
  [/^embed\.hook_embed$/, 'token embeddings, before positions and segments are added'],
  [/^embed\.hook_pos_embed$/, 'learned position embeddings'],
  [/^embed\.hook_token_type_embed$/, 'embeddings of the segments'],
  [/^embed\.ln\.hook_out$|^hook_full_embed$/, 'what enters the first block: the sum of embeddings behind its norm'],
  [/\.hook_normalized_resid_(mid|post)$/, 'stream behind its norm, which the next part reads'],
  [/^decoder\.\d+\.hook_resid_mid_cross$/, 'residual stream between cross-attention and MLP'],
  [/_final_ln\.hook_in$/, 'stream that leaves the last block'],
  [/_final_ln\.hook_out$/, 'last norm of this stack, after its gain'],
  [/^unembed\.hook_in$/, 'what the unembedding reads'],
  [/^mlm_head\.dense\.hook_out$/, 'head for masked tokens, before its activation'],
  [/^mlm_head\.hook_post$/, 'head for masked tokens, after its activation'],
  [/^mlm_head\.ln\.hook_out$/, 'what the unembedding reads, after gain and bias'],
  [/^hook_pos_embed$/, 'learned position embeddings'],
  [/\.hook_resid_pre$/, 'residual stream that enters the block'],
  [/\.hook_resid_mid$/, 'residual stream between attention and MLP'],
  [/\.hook_resid_post$/, 'residual stream that leaves the block: resid_pre of the next'],
  [/^ln_final\.hook_scale$/, 'divisor of the last norm'],
  [/^ln_final\.hook_normalized$/, 'last norm, before its gain and bias'],
  [/^ln_final\.hook_out$/, 'what the unembedding reads, after gain and bias'],
  [/ln\d?\.hook_scale$/, 'divisor of the norm: standard deviation, or root mean square'],
  [/ln\d?\.hook_normalized$/, 'stream divided by the scale, before gain and bias'],
  [/^decoder\.\d+\.ln2\.hook_out$/, 'what queries of cross-attention read, after the gain'],
  [/^decoder\.\d+\.ln3\.hook_out$/, 'what the MLP reads, after the gain'],
  [/\.ln1\.hook_out$/, 'what attention reads, after gain and bias'],
  [/\.ln2\.hook_out$/, 'what the MLP reads, after gain and bias'],
  [/\.ln1_post\.hook_out$/, 'what attention adds to the stream, after the norm behind it'],
  [/\.ln2_post\.hook_out$/, 'what the MLP adds to the stream, after the norm behind it'],
  [/\.ln\d_post\.hook_scale$/, 'divisor of the norm behind a branch'],
  [/\.ln\d_post\.hook_normalized$/, "branch's output divided by the scale, before the gain"],
  [/\.attn_out_before_norm$/, 'what the heads write together, before the norm behind attention'],
  [/\.mlp_out_before_norm$/, 'what the MLP writes, before the norm behind it'],
  [/\.[qk]_norm\.hook_scale$/, 'divisor of the norm of queries or keys'],
  [/\.[qk]_norm\.hook_normalized$/, 'queries or keys divided by the scale, before the gain'],
  [/\.q_norm\.hook_out$/, 'queries after their norm, before rotary positions'],
  [/\.k_norm\.hook_out$/, 'keys after their norm, before rotary positions'],
  [/\.hook_rot_q$/, 'queries after rotary positions'],
  [/\.hook_rot_k$/, 'keys after rotary positions'],
  [/\.cross_attn\.hook_q$/, 'queries of the decoder'],
  [/\.cross_attn\.hook_k$/, 'keys of what the encoder gives'],
  [/\.cross_attn\.hook_v$/, 'values of what the encoder gives'],
  [/\.cross_attn\.hook_attn_scores$/, 'q·k, masked entries −∞; [decoder query, encoder key]'],
  [/\.cross_attn\.hook_pattern$/, 'attention after softmax; [decoder query, encoder key]'],
  [/\.hook_cross_attn_out$/, 'what cross-attention adds to the stream'],
  [/\.hook_cross_([qkv])_input$/, 'stream that one head of cross-attention reads for this port, before the norm'],
  [/\.attn\.hook_q$/, 'queries with bias, before a norm of theirs and rotary positions'],
  [/\.attn\.hook_k$/, 'keys with bias, before a norm of theirs and rotary positions; per key/value head'],
  [/\.attn\.hook_v$/, 'values with bias; per key/value head'],
  [/\.hook_attn_scores$/, 'what the softmax reads: q·k after scale, cap, bias and mask (−∞); [query, key]'],
  [/\.hook_pattern$/, 'attention after softmax; [query, key]'],
  [/\.hook_z$/, 'pattern times values, before W_O'],
  [/\.hook_result$/, 'what each head adds to the stream, without b_O'],
  [/\.hook_attn_out$/, 'what attention adds to the stream, with b_O'],
  [/\.mlp\.hook_pre$/, 'neurons before the activation, with bias; the gate where there is one'],
  [/\.mlp\.hook_pre_linear$/, 'ungated half of a gated MLP'],
  [/\.mlp\.hook_mid$/, 'neurons after the activation, before the norm inside the MLP'],
  [/\.mlp\.ln\.hook_out$/, 'neurons after the norm inside the MLP'],
  [/\.mlp\.hook_post$/, 'neurons after the activation, times the ungated half where there is one'],
  [/\.hook_mlp_out$/, 'what the MLP adds to the stream, with bias'],
  [/\.hook_([qkv])_input$/, 'stream that one head reads for this port, before the norm'],
  [/\.hook_mlp_in$/, 'stream that the MLP reads, before the norm'],
  [/^final\.hook_in$/, 'stream that the logits read, before the last norm'],
  [/^images$/, 'the images themselves'],
  [/^logits$/, 'logits of the next token, or of what the model tells instead: masked tokens, classes'],
];

/** What a site holds, in words; empty for a site that no table describes. */
export function describeSite(site: string): string {
  return meanings.find(([pattern]) => pattern.test(site))?.[1] ?? '';
}

const operations: { readonly [op: string]: string } = {
  conv2d: 'what a convolution gives',
  linear: 'what a linear layer gives, with its bias',
  channel_affine: 'each channel times a factor, plus a shift',
  activation: 'after the activation',
  max_pool2d: 'largest entry of each window',
  avg_pool2d: 'mean of each window',
  sum: 'residual sum',
};

/** What a value holds by how it is made, for nets whose sites are paths of modules. */
export function describeOperation(op: string): string {
  return operations[op] ?? '';
}
