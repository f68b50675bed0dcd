import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  chooseExecutor,
  engineFor,
  inductionInitialiser,
  modelRef,
  runHypothesisAct,
  runUniversalityAct,
} from '@circuitscope/core';
import { type Circuit, Circuit as CircuitSchema, type Hash, mustParse } from '@circuitscope/schema';
import { closeWorkspace, openWorkspace, putRecord, saveRun, storeLocked, storeOutcome } from '@circuitscope/workspace';
import { openDecoder } from '@circuitscope/zoo';
import fixture from './fixtures/circuit.json' with { type: 'json' };
import { makeBenchRuns } from './make-bench-runs.ts';

/** Text that would act if a page ever took it for markup. */
export const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>';

export interface TestWorkspace {
  readonly folder: string;
  /** The written circuit of a model of the zoo, with its task: everything on its page works. */
  readonly written: Hash;
  /** The same under a name, labels and texts full of markup. */
  readonly hostile: Hash;
  /** The same, said to come from other weights than those of the zoo's model. */
  readonly changed: Hash;
}

/** A workspace as the command line would leave it. The model's hash is taken from the model; the numbers of the record stand in the fixture. */
export async function makeWorkspace(): Promise<TestWorkspace> {
  const folder = mkdtempSync(join(tmpdir(), 'circuitscope-web-'));
  const workspace = openWorkspace(folder);
  const source = 'zoo:induction-handwritten';
  const { model, member } = await openDecoder(source);
  if (!member) throw new Error('the zoo has no hand-written induction');
  const task = {
    ...member.task({ seed: 7, examples: 24 }),
    tokenStrings: Object.fromEntries(member.tokens.map((text, id) => [id, text])),
  };
  const taskHash = putRecord(workspace, task).hash;
  const base: Circuit = mustParse(CircuitSchema, fixture, 'circuit');
  const circuit: Circuit = {
    ...base,
    model: { ...(await modelRef(model)), source },
    task: { name: task.name, hash: taskHash, metric: task.metric.kind },
  };
  const written = putRecord(workspace, circuit).hash;
  saveRun(workspace, {
    kind: 'run',
    version: 1,
    actionKey: `sha256:${'d'.repeat(64)}`,
    contentDigest: written,
    startedAt: '2026-11-20T12:34:56.000Z',
    wallTimeMs: 2345,
    host: { cpu: 'a cpu', isa: 'portable', threads: 2, runtime: 'bun', executor: 'reference' },
    command: ['circuitscope', 'demo'],
  });
  const hostile = putRecord(workspace, {
    ...circuit,
    id: 'hostile',
    name: `Hostile ${HOSTILE}`,
    description: HOSTILE,
    model: { ...circuit.model, name: HOSTILE },
    nodes: circuit.nodes.map((node) => ({ ...node, label: HOSTILE })),
    features: (circuit.features ?? []).map((feature) => ({ ...feature, label: HOSTILE, description: HOSTILE })),
  }).hash;
  const changed = putRecord(workspace, {
    ...circuit,
    id: 'changed',
    name: 'Other weights',
    model: { ...circuit.model, contentHash: `sha256:${'0'.repeat(64)}` },
  }).hash;
  const { executor } = await chooseExecutor();
  const twins = await Promise.all(
    ['induction-handwritten', 'induction-handwritten-rotated'].map(async (id) => ({
      id,
      model: (await openDecoder(`zoo:${id}`)).model,
    })),
  );
  const comparison = await runUniversalityAct({
    name: `Twins ${HOSTILE}`,
    groups: [{ name: 'twins', models: twins, tokens: { bos: 0 }, initialiser: inductionInitialiser }],
    executor,
    seed: 1,
    draws: 19,
  });
  putRecord(workspace, comparison);
  const trained = (await openDecoder('zoo:induction-attn-2l/seed-0')).model;
  const at = '2026-11-20T12:34:56.000Z';
  const act = await runHypothesisAct(engineFor(trained, executor), trained, {
    bos: 0,
    seed: 0,
    examples: 32,
    at,
    onLocked: (locked) => {
      for (const one of locked) storeLocked(workspace, one);
    },
  });
  for (const { outcome } of [act.claim, act.rival]) storeOutcome(workspace, outcome, at);
  closeWorkspace(workspace);
  makeBenchRuns(folder, HOSTILE);
  return { folder, written, hostile, changed };
}
