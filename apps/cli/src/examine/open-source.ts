import type { Model } from '@circuitscope/core';
import { openDecoder, type ZooMember } from '@circuitscope/zoo';
import type { Io } from '../io.ts';
import { modelSource } from './model-source.ts';
import { bosOf } from './task-for-model.ts';

export interface OpenSource {
  /** A path or `zoo:NAME` that means the same wherever the user stands. */
  readonly source: string;
  readonly model: Model;
  readonly member: ZooMember | null;
  /** First token of generated prompts; null where there is none. */
  readonly bos: number | null;
}

/** Opens what `--model` names, with what the zoo or its config knows of it. */
export async function openSource(given: string, io: Io): Promise<OpenSource> {
  const source = modelSource(given, io);
  const { model, member } = await openDecoder(source);
  return { source, model, member, bos: member ? member.bos : bosOf(model) };
}

/** How plans run for a command with `--threads`. */
export function runSettings(options: { readonly threads: number | undefined }, io: Io) {
  return { signal: io.signal, ...(options.threads ? { threads: options.threads } : {}) };
}
