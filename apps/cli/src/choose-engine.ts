import { type AnyModel, engineFor } from '@circuitscope/core/architectures';
import { chooseExecutor, type Engine } from '@circuitscope/core/plan';
import type { Json } from '@circuitscope/schema';
import type { Io } from './io.ts';
import { note } from './output/index.ts';

/** The engine that a command computes with. On a terminal it is said when that is the slow one. */
export async function chooseEngine(model: AnyModel, io: Io): Promise<Engine> {
  const { executor, fallbackReason } = await chooseExecutor();
  if (fallbackReason !== null && io.stderr.isTerminal)
    note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
  return engineFor(model, executor);
}

/** What documents say of the executor. */
export function executorDocument({ executor: { info } }: Engine): Json {
  return { kind: info.kind, path: info.path, threads: info.threads, cpu: info.cpu };
}
