import { type Act, acts, decompose, edgesOf, engineFor, type HypothesisAct, type Model } from '@circuitscope/core';
import { chooseExecutor, type Executor } from '@circuitscope/core/plan';
import { CircuitscopeError, type Comparison } from '@circuitscope/schema';
import type { Workspace } from '@circuitscope/workspace';
import { familyName, inductionGroups, openDecoder, type ZooMember } from '@circuitscope/zoo';
import { command } from '../command.ts';
import { compareAndKeep } from '../examine/compare-and-keep.ts';
import { comparisonText } from '../examine/comparison-text.ts';
import { documentOf } from '../examine/document-of.ts';
import { examineAndKeep } from '../examine/examine-and-keep.ts';
import { outcomeText } from '../examine/hypothesis-text.ts';
import { modelSource } from '../examine/model-source.ts';
import { runSettings } from '../examine/open-source.ts';
import { reportText } from '../examine/report-text.ts';
import { questionFor } from '../examine/task-for-model.ts';
import { testAndKeep } from '../examine/test-and-keep.ts';
import { withWorkspace } from '../open-workspace.ts';
import { flag, integer, shared, text, withDefault } from '../options/index.ts';
import { note, numbers, print, progress, type Style, styleFor } from '../output/index.ts';

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
  summary: 'the main job on a model: features, a circuit, its proof, other seeds, locked hypotheses',
  details: `Examines a model in ${acts.length} acts: loads it; scores its heads and finds a direction; finds a circuit by cutting edges exactly; proves it on held-back examples against random circuits and by a weight edit whose effect is predicted first. Then it compares the circuit with that of the other seeds and architectures of its family in the zoo, and tests a claim and its rival that were locked before their data existed. Everything goes to the workspace; the same question is not computed twice, but a test of hypotheses always draws new data.`,
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
      line: 'circuitscope demo --model ./my-gpt2 --json > demo.json',
      about: 'your checkpoint, as one JSON document: report, comparisons, hypotheses',
    },
  ],
  run: async (options, io, line) => {
    const source = modelSource(options.model, io);
    const { model, member } = await openDecoder(source);
    const { executor, fallbackReason } = await chooseExecutor();
    if (fallbackReason !== null) note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
    const start = performance.now();
    const question = questionFor(model, member);
    const { kept, universality, method } = await withWorkspace(options, io, async (workspace) => {
      using bar = progress(io, titles.load);
      const run = runSettings(options, io);
      const examined = await examineAndKeep(
        workspace,
        model,
        executor,
        {
          ...question,
          seed: options.seed,
          examples:
            options.examples ?? (edgesOf(decompose(model.graph)).length > MANY_EDGES ? FEWER_EXAMPLES : EXAMPLES),
          randomCircuits: options.randomCircuits,
          source,
          run,
          onAct: (act, share) => bar.update(spans[act][0] + share * (spans[act][1] - spans[act][0]), titles[act]),
        },
        {
          again: options.again,
          command: line,
        },
      );
      const shown = (title: string) => ({ ...run, onProgress: (share: number) => bar.update(share, title) });
      const setting = { workspace, executor, again: options.again, line };
      return {
        kept: examined,
        universality: await compareFamily(member, { ...setting, run: shown('other seeds') }),
        method: await testHypotheses(model, {
          ...setting,
          bos: question.bos,
          seed: options.seed,
          source,
          run: shown('hypotheses'),
        }),
      };
    });
    const document = {
      kind: 'demo',
      version: 1,
      report: kept.report,
      comparisons: universality.kind === 'done' ? universality.comparisons : [],
      hypotheses:
        method.kind === 'done'
          ? [method.act.claim, method.act.rival].map(({ locked, outcome }) => ({
              lock: locked.lock,
              hypothesis: locked.hypothesis,
              outcome,
            }))
          : [],
      notPerformed: [...kept.report.notPerformed, ...reasonsOf(universality, method)],
    };
    print(io, options, documentOf(document), () => {
      const { info } = executor;
      const style = styleFor(io);
      const threads = `${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}, ${info.kind} (${info.path})`;
      const how = `${numbers.duration(performance.now() - start)} on ${threads}, peak memory ${numbers.bytes(process.resourceUsage().maxRSS * 1024)}${kept.found ? '; the examination was found in the workspace (--again computes anew)' : ''}`;
      return [
        reportText(kept.report, style),
        universalityText(universality, style),
        methodText(method, style),
        notPerformedText(document.notPerformed, style),
        `Kept: circuit ${kept.circuitHash}\nTime: ${how}\n`,
      ].join('\n');
    });
    if (options.serve) await serveDashboard(options, io, `/circuits/${kept.circuitHash}`);
  },
});

type Universality =
  | { readonly kind: 'done'; readonly comparisons: readonly Comparison[] }
  | { readonly kind: 'not'; readonly reason: string };
type Method =
  | { readonly kind: 'done'; readonly act: HypothesisAct }
  | { readonly kind: 'not'; readonly reason: string };

interface Setting {
  readonly workspace: Workspace;
  readonly executor: Executor;
  readonly again: boolean;
  readonly line: readonly string[];
  readonly run: Parameters<typeof compareAndKeep>[1]['run'];
}

/** Claim 3: the seeds of the member's family among themselves, then with those of other architectures. */
async function compareFamily(member: ZooMember | null, setting: Setting): Promise<Universality> {
  const family = member ? familyName(member) : null;
  const groups = inductionGroups();
  const own = groups.find(({ name }) => name === family);
  if (!own) {
    const reason = 'universality: the model has no other seeds here; circuitscope universality --models compares yours';
    return { kind: 'not', reason };
  }
  const { workspace, line, ...rest } = setting;
  const comparisons: Comparison[] = [];
  for (const compared of groups.length > 1 ? [[own], groups] : [[own]]) {
    const name = `induction over ${compared.map((group) => group.name).join(' and ')}`;
    const description = 'The induction circuit over models.';
    const options = { ...rest, name, description, groups: compared, seed: 1, draws: 499, command: line };
    comparisons.push((await compareAndKeep(workspace, options)).comparison);
  }
  return { kind: 'done', comparisons };
}

/** The method: a claim and its rival, locked before the data that test them. A model without such heads has no such claim. */
async function testHypotheses(
  model: Model,
  { workspace, executor, bos, seed, source, run }: Setting & { bos: number | null; seed: number; source: string },
): Promise<Method> {
  try {
    const at = new Date().toISOString();
    const act = await testAndKeep(workspace, engineFor(model, executor), model, { bos, seed, source, at, run });
    return { kind: 'done', act };
  } catch (error) {
    const expected = ['no_induction_heads', 'too_few', 'too_small'];
    if (!(error instanceof CircuitscopeError) || !expected.includes(error.code)) throw error;
    return { kind: 'not', reason: `hypotheses: ${error.message}` };
  }
}

function reasonsOf(...parts: readonly (Universality | Method)[]): readonly string[] {
  return parts.flatMap((part) => (part.kind === 'not' ? [part.reason] : []));
}

function universalityText(universality: Universality, style: Style): string {
  if (universality.kind === 'not') return '';
  const parts = universality.comparisons.map((one) => `${style.bold(`   ${one.name}`)}\n${comparisonText(one, style)}`);
  return `${style.bold('5  Universality: the same circuit in other models?')}\n\n${parts.join('\n')}`;
}

function methodText(method: Method, style: Style): string {
  if (method.kind === 'not') return '';
  const parts = [method.act.claim, method.act.rival].map(({ locked, outcome }) =>
    outcomeText(locked.hypothesis, outcome, style),
  );
  return `${style.bold('6  Hypotheses, locked before the data that test them')}\n\n${parts.join('\n')}`;
}

function notPerformedText(reasons: readonly string[], style: Style): string {
  if (reasons.length === 0) return '';
  return `${style.bold('Not performed')}\n${reasons.map((line) => `- ${line}`).join('\n')}\n`;
}
