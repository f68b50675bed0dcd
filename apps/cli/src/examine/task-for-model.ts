import type { Model } from '@circuitscope/core';
import { type PruneBy, repeatedRandomTask, taskHalf } from '@circuitscope/core';
import { type Ablation, CircuitscopeError, type Task } from '@circuitscope/schema';
import type { ZooMember } from '@circuitscope/zoo';

/** What is asked of a model when the user does not say: members of the zoo bring their task, others get induction. */
export interface Question {
  readonly name: string;
  readonly task: (options: { readonly seed: number; readonly examples: number }) => Task;
  readonly metric: 'logit_diff' | 'accuracy';
  readonly ablation: Ablation;
  readonly prune: PruneBy;
  readonly bos: number | null;
}

const RECOVER = 0.9;

export function questionFor(model: Model, member: ZooMember | null): Question {
  const truth = member?.truth[0];
  if (member && truth) {
    return {
      name: member.name,
      task: member.task,
      metric: truth.metric,
      ablation: truth.ablation,
      prune: { rule: 'threshold', threshold: 0 },
      bos: member.bos,
    };
  }
  const prune: PruneBy = { rule: 'backward', recover: RECOVER };
  if (member)
    return { name: 'induction', task: member.task, metric: 'logit_diff', ablation: 'resample', prune, bos: member.bos };
  const bos = bosOf(model);
  const { vocab, context } = model.spec;
  const half = taskHalf(vocab, context, bos);
  if (half === null) {
    throw new CircuitscopeError(
      'too_small',
      `${model.name} has ${vocab} tokens and a context of ${context}: too few to repeat random tokens; give a task of your own with --task FILE.`,
      {
        at: model.name,
        expected: 'at least 11 tokens and a context of 8',
        got: `${vocab} tokens, context ${context}`,
      },
    );
  }
  return {
    name: 'induction',
    task: ({ seed, examples }) => repeatedRandomTask({ name: 'induction', vocab, bos, half, seed, examples }),
    metric: 'logit_diff',
    ablation: 'resample',
    prune,
    bos,
  };
}

/** The first token of prompts: as the config says, 1 for llama2.c files, none where nothing says. */
export function bosOf(model: Model): number | null {
  const { config, kind } = model.checkpoint;
  if (kind === 'llama2c') return 1;
  const id = typeof config === 'object' && config !== null && 'bos_token_id' in config ? config.bos_token_id : null;
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < model.spec.vocab ? id : null;
}
