import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { convertCheckpoint } from '@circuitscope/core/architectures';
import { openCheckpoint } from '@circuitscope/core/checkpoints';
import { CircuitscopeError } from '@circuitscope/schema';
import { command } from '../../command.ts';
import { required, text } from '../../options/index.ts';
import { numbers, print } from '../../output/index.ts';
import { outPath } from '../../output/write-once.ts';
import { modelOption } from '../../resolve-model.ts';

export const convert = command({
  summary: 'write a checkpoint as a directory with config.json and model.safetensors',
  details:
    'Reads PyTorch files, numpy archives, GGUF, llama2.c and Hugging Face directories. Weights keep their type, quantised ones become float32, and names are those of transformers; nothing is folded. Tensors are copied one after the other, and the directory appears whole or not at all. Vocabularies that stand beside the weights are copied.',
  options: {
    model: modelOption,
    out: required(text('DIR', 'the directory to make')),
  },
  examples: [
    { line: 'circuitscope model convert --model ./gpt2-pytorch --out ./gpt2', about: 'from pytorch_model.bin' },
    { line: 'circuitscope model convert --model tiny.gguf --out ./tiny', about: 'quantised weights become float32' },
  ],
  run: async (options, io) => {
    if (options.model.startsWith('zoo:')) {
      throw new CircuitscopeError('bad_option', 'A model of the zoo has no file; give the path of a checkpoint.', {
        at: '--model',
      });
    }
    const out = outPath(options.out, false, io);
    const checkpoint = openCheckpoint(resolve(io.cwd, options.model));
    const { files } = convertCheckpoint(checkpoint, out);
    const bytes = files.reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
    const document = {
      kind: 'model_conversion',
      version: 1,
      from: { path: checkpoint.path, format: checkpoint.kind, contentHash: await checkpoint.contentHash() },
      out,
      contentHash: await openCheckpoint(out).contentHash(),
      files,
      bytes,
    };
    print(io, options, document, () => `${files.join(', ')}: ${numbers.bytes(bytes)} in ${options.out}\n`);
  },
});
