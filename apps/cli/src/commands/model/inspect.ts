import { modelRef } from '@circuitscope/core/architectures';
import { chooseExecutor } from '@circuitscope/core/plan';
import { command } from '../../command.ts';
import { argument, flag } from '../../options/index.ts';
import { byLayer, numbers, print, properties, styleFor, table } from '../../output/index.ts';
import { modelOption, resolveDecoder } from '../../resolve-model.ts';

export const inspect = command({
  summary: 'what a checkpoint is: architecture, sizes, tensors, content hash, executor',
  options: {
    model: argument(modelOption),
    tensors: flag('list the stored tensors too'),
  },
  examples: [
    { line: 'circuitscope model inspect ./gpt2', about: 'a Hugging Face directory with safetensors' },
    { line: 'circuitscope model inspect stories260K.bin --tensors', about: 'a llama2.c checkpoint and its tensors' },
  ],
  run: async (options, io) => {
    const model = await resolveDecoder(options.model, io);
    const { spec, checkpoint } = model;
    const ref = await modelRef(model);
    const { executor, fallbackReason } = await chooseExecutor();
    const { info } = executor;
    const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, byteLength }) => ({
      name,
      dtype,
      shape: [...shape],
      bytes: byteLength,
    }));
    const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const sizes = {
      layers: spec.layers,
      heads: spec.heads,
      kvHeads: spec.kvHeads,
      headWidth: spec.headWidth,
      width: spec.width,
      inner: spec.inner,
      vocab: spec.vocab,
      context: spec.context,
    };
    const document = {
      kind: 'model_inspection',
      version: 1,
      model: { ...ref },
      path: checkpoint.path,
      format: checkpoint.kind,
      sizes,
      norm: spec.norm ? { ...spec.norm } : null,
      positions: { ...spec.positions },
      activation: spec.inner > 0 ? spec.activation : null,
      gated: spec.gated,
      tied: spec.tied,
      executor: { kind: info.kind, path: info.path, threads: info.threads, cpu: info.cpu, fallbackReason },
      tensors,
    };
    print(io, options, document, () => {
      const heads =
        spec.kvHeads === spec.heads ? `${spec.heads}` : `${spec.heads}, sharing ${spec.kvHeads} key/value heads`;
      const mlp =
        spec.inner === 0
          ? 'none'
          : `${numbers.count(spec.inner)} neurons, ${spec.activation}${spec.gated ? ', gated' : ''}`;
      const positions =
        spec.positions.kind === 'learned'
          ? 'learned'
          : `rotary (base ${spec.positions.base}, ${spec.positions.layout === 'half' ? 'halves' : 'adjacent pairs'})`;
      const text = properties([
        ['model', ref.name],
        ['architecture', ref.architecture],
        [
          'parameters',
          `${numbers.count(ref.parameters)} (${ref.dtype}, ${numbers.bytes(bytes)} in ${tensors.length} tensors)`,
        ],
        ['layers', `${spec.layers}`],
        ['heads', `${heads}; ${spec.headWidth} wide each`],
        ['residual stream', `${spec.width} wide`],
        ['MLP', mlp],
        ['vocabulary', `${numbers.count(spec.vocab)}${spec.tied ? ', embedding and unembedding tied' : ''}`],
        ['context', `${numbers.count(spec.context)} tokens, ${positions} positions`],
        ['norm', spec.norm ? `${spec.norm.kind === 'rms' ? 'RMS' : 'layer'} norm, eps ${spec.norm.eps}` : 'none'],
        ['content hash', ref.contentHash],
        [
          'executor',
          `${info.kind}, ${info.path}, ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}${fallbackReason === null ? '' : `; ${fallbackReason}`}`,
        ],
      ]);
      if (!options.tensors) return text;
      const rows = byLayer(tensors, ({ dtype, shape }) => `${dtype} ${shape}`).map(({ name, entry, count }) => [
        name,
        entry.dtype,
        `[${entry.shape.join(', ')}]`,
        numbers.bytes(entry.bytes * count),
      ]);
      const columns = [
        { title: 'tensor' },
        { title: 'dtype' },
        { title: 'shape' },
        { title: 'size', align: 'right' as const },
      ];
      return `${text}\n${table(columns, rows, styleFor(io))}`;
    });
  },
});
