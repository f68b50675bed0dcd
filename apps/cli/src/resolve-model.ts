import { resolve } from 'node:path';
import { type AnyModel, type ConvnetOptions, type Model, requireDecoder } from '@circuitscope/core/architectures';
import { openModel } from '@circuitscope/zoo';
import type { Io } from './io.ts';
import { badOption, required, text, valued } from './options/index.ts';

/** The `--model` of every command that takes one. */
export const modelOption = required(text('PATH|zoo:NAME', 'a checkpoint, or a model of the zoo'));

/** The `--size` of images, for nets whose checkpoints do not say it: [height, width]. */
export const sizeOption = valued(
  'HEIGHTxWIDTH',
  'of images, where the checkpoint says nothing of it',
  (given, name) => {
    const [, height = '', width = ''] = /^([1-9]\d{0,4})[x×]([1-9]\d{0,4})$/.exec(given) ?? [];
    if (height === '') throw badOption(name, 'two whole numbers such as 224x224', given);
    return [Number(height), Number(width)] as const;
  },
);

/** What `--model` means: `zoo:NAME`, or a path seen from where the user stands. */
export async function resolveModel(given: string, io: Io, options: ConvnetOptions = {}): Promise<AnyModel> {
  const { model } = await openModel(given.startsWith('zoo:') ? given : resolve(io.cwd, given), options);
  return model;
}

/** The same for commands that only decoders serve. */
export async function resolveDecoder(given: string, io: Io): Promise<Model> {
  return requireDecoder(await resolveModel(given, io));
}
