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

/** The `--config` of weights that do not say what model they are, or are to be read as another one. */
export const configOption = text(
  'FILE',
  'what the weights are, where nothing beside them says it: config.json, or the layers of a convolution net',
);

/** Options of a model that looks at images, as `resolveModel` takes them. */
export function imageOptions(
  given: { readonly size?: readonly [number, number] | undefined; readonly config?: string | undefined },
  io: Io,
): ConvnetOptions {
  return {
    ...(given.size ? { size: given.size } : {}),
    ...(given.config === undefined ? {} : { config: resolve(io.cwd, given.config) }),
  };
}

/** What `--model` means: `zoo:NAME`, or a path seen from where the user stands. */
export async function resolveModel(given: string, io: Io, options: ConvnetOptions = {}): Promise<AnyModel> {
  const { model } = await openModel(given.startsWith('zoo:') ? given : resolve(io.cwd, given), options);
  return model;
}

/** The same for commands that only decoders serve. */
export async function resolveDecoder(given: string, io: Io, options: ConvnetOptions = {}): Promise<Model> {
  return requireDecoder(await resolveModel(given, io, options));
}
