import { type Act, acts, decompose, edgesOf } from '@circuitscope/core';
import { chooseExecutor } from '@circuitscope/core/plan';
import { openModel } from '@circuitscope/zoo';
import { command } from '../command.ts';
import { documentOf } from '../examine/document-of.ts';
import { examineAndKeep } from '../examine/examine-and-keep.ts';
import { modelSource } from '../examine/model-source.ts';
import { reportText } from '../examine/report-text.ts';
import { questionFor } from '../examine/task-for-model.ts';
import { withWorkspace } from '../open-workspace.ts';
import { flag, integer, shared, text, withDefault } from '../options/index.ts';
import { note, numbers, print, progress, styleFor } from '../output/index.ts';

import { serveDashboard } from '../serve/serve-dashboard.ts';

const titles: { readonly [A in Act]: string } = {
  load: 'loading',
  features: 'features',
  circuit: 'circuit',
  proof: 'proof',
};
/** Rough shares of the time, for the bar. */
const spans: { readonly [A in Act]: readonly [number, number] } = {
  load: [0, 0.02],
  features: [0.02, 0.3],
  circuit: [0.3, 0.6],
  proof: [0.6, 1],
};

const EXAMPLES = 64;
/** A sweep has a variant for each edge; with fewer examples a larger model is still examined within a minute. */
const FEWER_EXAMPLES = 16;
const MANY_EDGES = 500;

export const demo = command({
  summary: 'the main job on a model: features, a circuit, its proof, kept and shown',
  details: `Examines a model in ${acts.length} acts: loads it; scores its heads and finds a direction; finds a circuit by cutting edges exactly; proves it on held-back examples against random circuits and by a weight edit whose effect is predicted first. Report, circuit and task go to the workspace; the same question is not computed twice.`,
  options: {
    model: withDefault(text('PATH|zoo:NAME', 'a checkpoint, or a model of the zoo'), 'zoo:induction-attn-2l/seed-0'),
    seed: shared.seed,
    examples: integer(
      'N',
      `examples that find the circuit, and as many that test it (default: ${EXAMPLES}, or ${FEWER_EXAMPLES} where there are more than ${MANY_EDGES} edges)`,
      { min: 4, max: 4096 },
    ),
    randomCircuits: withDefault(
      integer('N', 'random circuits of the same size to compare with', { min: 20, max: 10_000 }),
      200,
    ),
    again: flag('compute even if the workspace has the answer'),
    serve: flag('show the circuit in a browser until Ctrl-C'),
    port: integer('N', 'port of the page (default: the first that is free)', { min: 1, max: 65_535 }),
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope demo --serve', about: 'the trained two-layer model, with its page' },
    { line: 'circuitscope demo --model zoo:induction-handwritten', about: 'a model whose circuit was written by hand' },
    {
      line: 'circuitscope demo --model ./my-gpt2 --json > report.json',
      about: 'your checkpoint, as one JSON document',
    },
  ],
  run: async (options, io, line) => {
    const source = modelSource(options.model, io);
    const { model, member } = await openModel(source);
    const { executor, fallbackReason } = await chooseExecutor();
    if (fallbackReason !== null) note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
    const kept = await withWorkspace(options, io, async (workspace) => {
      using bar = progress(io, titles.load);
      return examineAndKeep(
        workspace,
        model,
        executor,
        {
          ...questionFor(model, member),
          seed: options.seed,
          examples:
            options.examples ?? (edgesOf(decompose(model.graph)).length > MANY_EDGES ? FEWER_EXAMPLES : EXAMPLES),
          randomCircuits: options.randomCircuits,
          source,
          run: { signal: io.signal, ...(options.threads ? { threads: options.threads } : {}) },
          onAct: (act, share) => bar.update(spans[act][0] + share * (spans[act][1] - spans[act][0]), titles[act]),
        },
        {
          again: options.again,
          command: line,
        },
      );
    });
    print(io, options, documentOf(kept.report), () => {
      const { info } = executor;
      const how = kept.found
        ? 'found in the workspace (--again computes anew)'
        : `${numbers.duration(kept.wallTimeMs)} on ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}, ${info.kind} (${info.path}), peak memory ${numbers.bytes(process.resourceUsage().maxRSS * 1024)}`;
      return `${reportText(kept.report, styleFor(io))}\nKept: circuit ${kept.circuitHash}\nTime: ${how}\n`;
    });
    if (options.serve) await serveDashboard(options, io, `/circuits/${kept.circuitHash}`);
  },
});
