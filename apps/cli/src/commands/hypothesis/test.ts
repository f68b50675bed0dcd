import { chooseEngine } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { outcomeText } from '../../examine/hypothesis-text.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { testAndKeep } from '../../examine/test-and-keep.ts';
import { withWorkspace } from '../../open-workspace.ts';
import { integer, shared, withDefault } from '../../options/index.ts';
import { print, progress, styleFor } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';

export const test = command({
  summary: 'lock a claim and its rival, then draw fresh data and let the locked rule decide',
  details:
    'Looks at the model on exploration data, writes down what follows if its induction heads are what they seem (and what follows if they go by position), locks both in the ledger of the workspace, and only then draws the data that test them: their seeds follow from the locks. The same rule judges both. What came out is entered in the ledger, whichever way it went.',
  options: {
    model: modelOption,
    examples: withDefault(integer('N', 'prompts of each kind', { min: 8, max: 4096 }), 64),
    seed: shared.seed,
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope hypothesis test --model zoo:induction-attn-2l/seed-0', about: 'claim and rival' },
    { line: 'circuitscope hypothesis test --model ./gpt2 --json > outcomes.json', about: 'your checkpoint' },
  ],
  run: async (options, io) => {
    const { model, source, bos } = await openSource(options.model, io);
    const engine = await chooseEngine(model, io);
    const act = await withWorkspace(options, io, (workspace) => {
      using bar = progress(io, 'locking and testing');
      return testAndKeep(workspace, engine, model, {
        bos,
        source,
        seed: options.seed,
        examples: options.examples,
        at: new Date().toISOString(),
        run: { ...runSettings(options, io), onProgress: (share) => bar.update(share) },
      });
    });
    const both = [act.claim, act.rival];
    const document = {
      kind: 'hypothesis_tests',
      version: 1,
      tests: both.map(({ locked, outcome }) => ({ lock: locked.lock, hypothesis: locked.hypothesis, outcome })),
    };
    print(io, options, documentOf(document), () =>
      both.map(({ locked, outcome }) => outcomeText(locked.hypothesis, outcome, styleFor(io))).join('\n'),
    );
  },
});
