import { openTokenizer } from '@circuitscope/core';
import type { Circuit, Task } from '@circuitscope/schema';
import type { LiveModel } from './engine.ts';

/**
 * The texts of token ids: as the task writes them, else as the zoo or the tokenizer beside the checkpoint does, else the
 * ids themselves, for a model may come without any text.
 */
export function tokenTexts(ids: readonly number[], circuit: Circuit, task: Task, { tokens }: LiveModel): string[] {
  const spell = tokens ? (id: number) => tokens[id] : spelling(circuit.model.source);
  return ids.map((id) => task.tokenStrings?.[String(id)] ?? spell(id) ?? `#${id}`);
}

function spelling(source: string | undefined): (id: number) => string | undefined {
  if (source === undefined || source.startsWith('zoo:')) return () => undefined;
  try {
    const tokenizer = openTokenizer(source);
    return (id) => (id < tokenizer.size ? tokenizer.token(id) : undefined);
  } catch {
    // A checkpoint without a tokenizer is an ordinary case here: its ids are shown.
    return () => undefined;
  }
}
