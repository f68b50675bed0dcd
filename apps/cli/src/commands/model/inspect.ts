import { dequantisedBytes, modelRef } from '@circuitscope/core/architectures';
import type { Checkpoint } from '@circuitscope/core/checkpoints';
import { chooseExecutor } from '@circuitscope/core/plan';
import { command } from '../../command.ts';
import { argument, flag } from '../../options/index.ts';
import { byLayer, numbers, print, properties, styleFor, table } from '../../output/index.ts';
import { configOption, imageOptions, modelOption, resolveModel, sizeOption } from '../../resolve-model.ts';
import { describeModel } from './describe-model.ts';
import { printTemplate } from './print-template.ts';

export const inspect = command({
  summary: 'what a checkpoint is: architecture, sizes, tensors, content hash, executor',
  options: {
    model: argument(modelOption),
    size: sizeOption,
    config: configOption,
    template: flag(
      'for weights alone: print a first draft of the layers of a convolution net, to be put right by hand',
    ),
    tensors: flag('list the stored tensors too'),
  },
  examples: [
    { line: 'circuitscope model inspect ./gpt2', about: 'a Hugging Face directory with safetensors' },
    { line: 'circuitscope model inspect stories260K.bin --tensors', about: 'a llama2.c checkpoint and its tensors' },
    {
      line: 'circuitscope model inspect mnist.pt --template > mnist.config.json',
      about: 'weights alone: a draft of their layers, read from then on because it stands beside them',
    },
  ],
  run: async (options, io) => {
    if (options.template) {
      printTemplate(options, io);
      return;
    }
    const model = await resolveModel(options.model, io, imageOptions(options, io));
    const { checkpoint } = model;
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
    const { sizes, facts, rows: made } = describeModel(model);
    const document = {
      kind: 'model_inspection',
      version: 1,
      model: { ...ref },
      path: checkpoint.path,
      format: checkpoint.kind,
      modelKind: model.spec.kind,
      sizes: { ...sizes },
      ...facts,
      executor: { kind: info.kind, path: info.path, threads: info.threads, cpu: info.cpu, fallbackReason },
      tensors,
      dequantisedBytes: dequantisedBytes(checkpoint),
    };
    print(io, options, document, () => {
      const text = properties([
        ['model', ref.name],
        ['format', formatText(checkpoint)],
        ['architecture', ref.architecture],
        [
          'parameters',
          `${numbers.count(ref.parameters)} (${ref.dtype}, ${numbers.bytes(bytes)} in ${tensors.length} tensors)`,
        ],
        ...made.map(([name, value]): [string, string] => [name, value]),
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

/** The container, how many files and tensors of which types, and what quantised ones take in memory. */
function formatText(checkpoint: Checkpoint): string {
  const counts = new Map<string, number>();
  for (const { dtype } of checkpoint.tensors.values()) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  const types = [...counts].map(([dtype, count]) => `${count} ${dtype}`).join(', ');
  const files = checkpoint.files.length;
  const quantised = dequantisedBytes(checkpoint);
  const memory = quantised > 0 ? `; quantised weights take ${numbers.bytes(quantised)} in memory` : '';
  return `${checkpoint.kind}, ${files} ${files === 1 ? 'file' : 'files'}; tensors: ${types}${memory}`;
}
