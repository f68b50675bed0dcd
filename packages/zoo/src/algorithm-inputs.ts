import type { AlgorithmInput } from '@circuitscope/core';
import type { TaskOptions, ZooMember } from './zoo-member.ts';

/** The prompts on which a member's program is judged: its own, or the clean and the corrupt ones of its task. */
export function algorithmInputs({ inputs, task }: ZooMember, options: TaskOptions): readonly AlgorithmInput[] {
  if (inputs) return inputs(options);
  return task(options).examples.flatMap(({ clean, corrupt }) => [{ tokens: clean }, { tokens: corrupt }]);
}
