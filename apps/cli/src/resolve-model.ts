import { resolve } from 'node:path';
import { type AnyModel, type ConvnetOptions, type Model, requireDecoder } from '@circuitscope/core/architectures';
import { openModel } from '@circuitscope/zoo';
import type { Io } from './io.ts';
import { required, text } from './options/index.ts';

/** The `--model` of every command that takes one. */
export const modelOption = required(text('PATH|zoo:NAME', 'a checkpoint, or a model of the zoo'));

/** What `--model` means: `zoo:NAME`, or a path seen from where the user stands. */
export async function resolveModel(given: string, io: Io, options: ConvnetOptions = {}): Promise<AnyModel> {
  const { model } = await openModel(given.startsWith('zoo:') ? given : resolve(io.cwd, given), options);
  return model;
}

/** The same for commands that only decoders serve. */
export async function resolveDecoder(given: string, io: Io): Promise<Model> {
  return requireDecoder(await resolveModel(given, io));
}
