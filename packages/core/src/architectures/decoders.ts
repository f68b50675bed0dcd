import type { Architecture } from './architecture.ts';
import { attentionOnly } from './attention-only.ts';
import { bloom } from './bloom.ts';
import { falcon } from './falcon.ts';
import { gemma } from './gemma.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3 } from './gemma3.ts';
import { gptNeo } from './gpt-neo.ts';
import { gptNeox } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { gptj } from './gptj.ts';
import { llama } from './llama.ts';
import { llama2c } from './llama2c.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { olmo2 } from './olmo2.ts';
import { opt } from './opt.ts';
import { phi } from './phi.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { stablelm } from './stablelm.ts';
import { transformerLens } from './transformerlens.ts';

/** Every decoder that is known; the first that claims a checkpoint has it. */
export const decoders: readonly Architecture[] = [
  llama2c,
  gpt2,
  gptNeo,
  gptNeox,
  gptj,
  opt,
  bloom,
  falcon,
  llama,
  mistral,
  mixtral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3,
  olmo2,
  phi,
  phi3,
  stablelm,
  attentionOnly,
  transformerLens,
];
