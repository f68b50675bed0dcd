import type { Checkpoint } from '../checkpoints/index.ts';

/** The tokens that end a text: llama2.c ends a story with the token that begins one, Hugging Face configs name theirs. */
export function endTokens({ checkpoint }: { readonly checkpoint: Checkpoint }): ReadonlySet<number> {
  if (checkpoint.kind === 'llama2c') return new Set([1]);
  const { config } = checkpoint;
  const named: unknown =
    typeof config === 'object' && config !== null && 'eos_token_id' in config ? config.eos_token_id : null;
  return new Set([named].flat().filter((id): id is number => typeof id === 'number'));
}
