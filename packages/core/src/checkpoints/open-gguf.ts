import { fileSource } from './byte-source.ts';
import { type Checkpoint, hashFiles, remembered } from './checkpoint.ts';
import { readGguf } from './gguf.ts';

/**
 * A GGUF file: tensors under llama.cpp's names; the configuration is the metadata without the tokenizer's lists.
 *
 * @throws CircuitscopeError `bad_gguf`, `missing_file`.
 */
export function openGguf(path: string): Checkpoint {
  const source = fileSource(path);
  const { metadata, tensors } = readGguf(source);
  const config = Object.fromEntries([...metadata].filter(([key]) => !key.startsWith('tokenizer.')));
  const files = [{ path, byteLength: source.length }];
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return { kind: 'gguf', path, config, tensors: byName, files, contentHash: remembered(() => hashFiles(files)) };
}
