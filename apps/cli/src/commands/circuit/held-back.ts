import { hashTask, questionOf, withoutExamplesOf } from '@circuitscope/core';
import { type Circuit, CircuitscopeError, type Hash, parseTask, type Task } from '@circuitscope/schema';
import { getRecord, type Workspace } from '@circuitscope/workspace';
import type { OpenSource } from '../../examine/open-source.ts';
import { askedBy, readTask } from '../../examine/read-task.ts';
import { type Question, questionFor } from '../../examine/task-for-model.ts';
import type { Io } from '../../io.ts';

interface HeldBackOptions {
  readonly task: string | undefined;
  readonly examples: number | undefined;
  readonly seed: number | undefined;
}

/** Examples that did not find a circuit, how they came about, and the seed of the test. */
export interface HeldBack {
  readonly task: Task;
  readonly how: string;
  readonly seed: number;
}

/** Examples that did not find the circuit: those of --task, or generated as the circuit's own were, from another seed. */
export function heldBack(
  options: HeldBackOptions,
  circuit: Circuit,
  opened: OpenSource,
  workspace: Workspace,
  io: Io,
): HeldBack {
  const { metric } = questionOf(circuit);
  const { seeds, data } = circuit.provenance;
  const unseen = Math.max(-1, ...seeds) + 1;
  const seed = options.seed ?? unseen;
  const [first] = data;
  if (options.task !== undefined) {
    const task = askedBy(readTask(options.task, opened.model, io), metric);
    requireOther(hashTask(task), circuit);
    const discovery = first ? storedTask(workspace, first.hash) : null;
    return { task: discovery ? withoutExamplesOf(task, discovery) : task, how: 'given', seed };
  }
  const question = generatorOf(circuit, opened);
  if (!question || !first) {
    throw new CircuitscopeError(
      'missing_option',
      `${circuit.name} was found on examples that cannot be generated anew; give other examples of the same behaviour with --task FILE.json.`,
      { at: '--task' },
    );
  }
  if (seeds.includes(seed)) {
    throw new CircuitscopeError(
      'bad_option',
      `The circuit has already seen the examples of seed ${seed}, so they cannot test it; choose another --seed, such as ${unseen}.`,
      { at: '--seed', got: String(seed), expected: `not ${seeds.join(', ')}` },
    );
  }
  const generate = (from: number, examples: number) => askedBy(question.task({ seed: from, examples }), metric);
  const discovery = generate(seeds[0] ?? 0, first.n);
  const wanted = options.examples ?? first.n;
  // Where few prompts are possible some come again and are left out: twice as many are drawn, so that enough remain.
  const fresh = withoutExamplesOf(generate(seed, 2 * wanted), discovery);
  const task = { ...fresh, examples: fresh.examples.slice(0, wanted) };
  return { task, how: `generated from seed ${seed}`, seed };
}

function requireOther(hash: Hash, { provenance, name }: Circuit): void {
  if (!provenance.data.some((data) => data.hash === hash)) return;
  throw new CircuitscopeError(
    'same_data',
    `The examples of --task were already read for ${name}, so they cannot test it; give others.`,
    { at: '--task', got: hash },
  );
}

/** The question that made the circuit's examples: the one that makes the very same ones again. Null where there is none. */
function generatorOf(circuit: Circuit, { model, member }: OpenSource): Question | null {
  const { seeds, data } = circuit.provenance;
  const [first] = data;
  const [seed] = seeds;
  if (!first || seed === undefined) return null;
  try {
    const question = questionFor(model, member);
    const again = askedBy(question.task({ seed, examples: first.n }), questionOf(circuit).metric);
    return hashTask(again) === first.hash ? question : null;
  } catch (error) {
    if (error instanceof CircuitscopeError) return null;
    throw error;
  }
}

function storedTask(workspace: Workspace, hash: Hash): Task | null {
  try {
    return getRecord(workspace, hash, parseTask);
  } catch (error) {
    if (error instanceof CircuitscopeError) return null;
    throw error;
  }
}
