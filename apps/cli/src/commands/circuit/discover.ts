import type { DiscoveryMethod, Metric, PruneBy } from '@circuitscope/core';
import { findCircuit, hashTask, numericsVersion, TOOL_VERSION } from '@circuitscope/core';
import { modelRef } from '@circuitscope/core/architectures';
import { type Ablation, CircuitscopeError, parseCircuit, type Task } from '@circuitscope/schema';
import { actionKey, findByAction, getRecord, putRecord, runRecord, saveRun } from '@circuitscope/workspace';
import { chooseEngine } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { type OpenSource, openSource, runSettings } from '../../examine/open-source.ts';
import { askedBy, readTask } from '../../examine/read-task.ts';
import { circuitText, endsText } from '../../examine/report-text.ts';
import { questionFor } from '../../examine/task-for-model.ts';
import type { Io } from '../../io.ts';
import { withWorkspace } from '../../open-workspace.ts';
import { choice, flag, integer, real, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';

const metrics = ['logit_diff', 'accuracy', 'loss'] as const;
const ablations = ['zero', 'resample', 'mean'] as const;
const methods = ['exact', 'acdc', 'eap', 'eap-ig', 'attribution'] as const;
const orders = ['descending', 'ascending', 'shuffled'] as const;
const RECOVER = 0.9;
const STEPS = 5;

export const discover = command({
  summary: 'the circuit of a task: which edges between heads carry the behaviour',
  details:
    'Cuts every edge exactly and keeps those that matter, by one of two rules. With --recover, edges are dropped from the logits down, weakest first, while the rest still recovers that share of the metric; with --threshold, an edge stays if cutting it alone moves the metric by more than that. Circuit and task go to the workspace, and the same question is not computed twice; circuit validate tests the circuit on other examples.\n\n--method says what finds the edges. exact takes a pass for every edge. acdc cuts one edge after the other, in --order, and an edge goes if that does less harm than --threshold beside those cut before. eap and eap-ig estimate every edge from gradients, in one backward or in --steps of them, attribution estimates units; --recover then keeps the fewest best edges that recover the share, --threshold those with a larger score. Estimates find no edge behind saturated attention, and eap-ig may give it the wrong sign; whatever found a circuit, its numbers are measured by cutting. Accuracy has no gradient.\n\nWithout --task the question is induction on repeated random tokens, or the own task of a member of the zoo, with its own metric, ablation and rule.',
  options: {
    model: modelOption,
    task: text('FILE.json', 'a task: clean and corrupt prompts with answers'),
    metric: choice(metrics, 'what is measured (default: as the task says)'),
    ablation: choice(
      ablations,
      'what stands in place of a cut edge: nothing, its value on the corrupt prompt, its mean (default: resample)',
    ),
    method: withDefault(choice(methods, 'what finds the edges'), 'exact'),
    steps: integer('M', `gradients on the way from the corrupt prompt, for eap-ig (default: ${STEPS})`, {
      min: 1,
      max: 1000,
    }),
    order: choice(orders, 'in which order acdc asks; shuffled goes by --seed (default: descending)'),
    recover: real('SHARE', `share of the metric that the circuit keeps (default: ${RECOVER})`, { min: 0, max: 1 }),
    threshold: real('T', 'keep edges whose cut moves the metric by more than this', { min: 0 }),
    examples: withDefault(
      integer('N', 'examples that are generated where no task is given', { min: 4, max: 4096 }),
      64,
    ),
    again: flag('compute even if the workspace has the answer'),
    seed: shared.seed,
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope circuit discover --model ./gpt2 --task ioi.json', about: 'the circuit of your task' },
    {
      line: 'circuitscope circuit discover --model zoo:induction-attn-2l/seed-0',
      about: 'induction in a trained two-layer model',
    },
    {
      line: 'circuitscope circuit discover --model ./gpt2 --task ioi.json --method eap-ig --steps 10',
      about: 'in a model with too many edges to cut each',
    },
    {
      line: 'circuitscope circuit discover --model zoo:induction-handwritten --metric accuracy --ablation zero --threshold 0',
      about: 'exactly the edges that were written by hand',
    },
  ],
  run: async (options, io, line) => {
    if (options.recover !== undefined && options.threshold !== undefined) {
      throw new CircuitscopeError('bad_option', '--recover and --threshold are two rules; keep one of them.', {
        at: '--threshold',
      });
    }
    const method = methodOf(options);
    const start = performance.now();
    const startedAt = Date.now();
    const opened = await openSource(options.model, io);
    const { model, source } = opened;
    const question = asked(options, opened, io);
    const { name, task, metric, ablation, prune, seeds, how } = question;
    const engine = await chooseEngine(model, io);
    const { contentHash, graphHash } = await modelRef(model);
    const key = actionKey({
      kind: 'circuit_discover',
      models: [contentHash],
      ...(graphHash ? { graph: graphHash } : {}),
      parameters: {
        name,
        metric,
        ablation,
        prune: { ...prune },
        seeds: [...seeds],
        source,
        ...(method.kind === 'exact' ? {} : { method: { ...method } }),
      },
      data: [hashTask(task)],
      numericsVersion: numericsVersion(engine.executor.info),
      toolVersion: TOOL_VERSION,
    });
    const kept = await withWorkspace(options, io, async (workspace) => {
      const keepTask = () => putRecord(workspace, task, { keep: true }).hash;
      const known = options.again ? null : findByAction(workspace, key);
      if (known) {
        const circuit = getRecord(workspace, known, parseCircuit);
        return { circuit, hash: known, taskHash: keepTask(), found: true, dir: workspace.dir };
      }
      using bar = progress(io, method.kind === 'exact' || method.kind === 'acdc' ? 'cutting edges' : 'scoring edges');
      const run = { ...runSettings(options, io), onProgress: (share: number) => bar.update(share) };
      const circuit = await findCircuit(engine, model, {
        name,
        task,
        how,
        seeds,
        metric,
        ablation,
        prune,
        method,
        source,
        run,
      });
      const { hash } = putRecord(workspace, circuit, { actionKey: key, keep: true });
      const wallTimeMs = performance.now() - start;
      saveRun(
        workspace,
        runRecord({
          actionKey: key,
          contentDigest: hash,
          startedAt,
          wallTimeMs,
          executor: engine.executor.info,
          command: line,
        }),
      );
      return { circuit, hash, taskHash: keepTask(), found: false, dir: workspace.dir };
    });
    const { circuit, hash, taskHash, found } = kept;
    const document = {
      kind: 'circuit_discovery',
      version: 1,
      workspace: kept.dir,
      hash,
      task: taskHash,
      found,
      circuit,
    };
    print(io, options, documentOf(document), () => {
      const how = found
        ? 'found in the workspace (--again computes anew)'
        : numbers.duration(performance.now() - start);
      return `${circuitText(circuit, styleFor(io))}\n${endsText(circuit)}Not tested yet: circuitscope circuit validate ${hash.slice(7, 19)}\nKept: circuit ${hash}\nTime: ${how}\n`;
    });
  },
});

/** @throws CircuitscopeError `bad_option` for an option that the method does not have */
function methodOf(options: {
  readonly method: (typeof methods)[number];
  readonly steps: number | undefined;
  readonly order: (typeof orders)[number] | undefined;
  readonly threshold: number | undefined;
  readonly recover: number | undefined;
  readonly seed: number;
}): DiscoveryMethod {
  const { method, steps, order, seed } = options;
  const refuse = (option: string, sentence: string): never => {
    throw new CircuitscopeError('bad_option', sentence, { at: option });
  };
  if (steps !== undefined && method !== 'eap-ig') {
    refuse('--steps', `--steps belongs to --method eap-ig, not to ${method}; leave it out.`);
  }
  if (order !== undefined && method !== 'acdc') {
    refuse('--order', `--order belongs to --method acdc, not to ${method}; leave it out.`);
  }
  switch (method) {
    case 'acdc':
      if (options.threshold === undefined) {
        refuse(
          '--threshold',
          'ACDC drops an edge that does less harm than a threshold; give --threshold, such as 0.05.',
        );
      }
      return { kind: method, order: order === 'shuffled' ? { seed } : (order ?? 'descending') };
    case 'eap-ig':
      return { kind: method, steps: steps ?? STEPS };
    default:
      return { kind: method };
  }
}

interface Asked {
  readonly name: string;
  readonly task: Task;
  readonly how: string;
  readonly seeds: readonly number[];
  readonly metric: Metric;
  readonly ablation: Ablation;
  readonly prune: PruneBy;
}

interface AskOptions {
  readonly task: string | undefined;
  readonly metric: Metric | undefined;
  readonly ablation: Ablation | undefined;
  readonly recover: number | undefined;
  readonly threshold: number | undefined;
  readonly method: (typeof methods)[number];
  readonly examples: number;
  readonly seed: number;
}

/** The question that the options ask; what they leave open, the task or the zoo's member says. */
function asked(options: AskOptions, { model, member }: OpenSource, io: Io): Asked {
  const { recover, threshold, seed, examples } = options;
  const rule: PruneBy | null =
    threshold !== undefined
      ? { rule: 'threshold', threshold }
      : recover !== undefined
        ? { rule: 'backward', recover }
        : null;
  if (options.task !== undefined) {
    const given = readTask(options.task, model, io);
    const metric = options.metric ?? given.metric.kind;
    const task = askedBy(given, metric);
    return {
      name: task.name,
      task,
      how: 'given',
      seeds: [seed],
      metric,
      ablation: options.ablation ?? 'resample',
      prune: rule ?? { rule: 'backward', recover: RECOVER },
    };
  }
  const question = questionFor(model, member);
  const metric = options.metric ?? question.metric;
  const task = askedBy(question.task({ seed, examples }), metric);
  return {
    name: question.name,
    task,
    how: 'generated',
    seeds: [seed],
    metric,
    ablation: options.ablation ?? question.ablation,
    // A member's own rule is about exact effects.
    prune: rule ?? (options.method === 'exact' ? question.prune : { rule: 'backward', recover: RECOVER }),
  };
}
