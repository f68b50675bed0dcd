import { resolve } from 'node:path';
import type { Model } from '@circuitscope/core/architectures';
import { openModel } from '@circuitscope/zoo';
import type { Io } from './io.ts';
import { required, text } from './options/index.ts';

/** The `--model` of every command that takes one. */
export const modelOption = required(text('PATH|zoo:NAME', 'a checkpoint, or a model of the zoo'));

/** What `--model` means: `zoo:NAME`, or a path seen from where the user stands. */
export async function resolveModel(given: string, io: Io): Promise<Model> {
  const { model } = await openModel(given.startsWith('zoo:') ? given : resolve(io.cwd, given));
  return model;
}
