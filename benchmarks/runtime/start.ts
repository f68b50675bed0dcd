import { engineFor, loadModel, requireDecoder, viewModel } from '@circuitscope/core/architectures';
import { chooseExecutor, makePlan, readoutTensor, runPlan } from '@circuitscope/core/plan';
import { peakBytes } from './peak-bytes.ts';
import { wideTokens } from './random-checkpoint.ts';

// The first logits of a process: loads a model, runs eight tokens and answers.

const { folder, way, threads } = JSON.parse(process.argv[2] ?? '{}');
const raw = requireDecoder(loadModel(folder));
const model = way === 'folded' ? viewModel(raw, 'folded') : raw;
const { executor } = await chooseExecutor();
const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
const run = await runPlan(engineFor(model, executor), plan, { tokens: wideTokens(1, 8) }, { threads });
const { data, shape } = readoutTensor(run, 0);
const vocab = shape[2] ?? 0;
const last = [...data.subarray(7 * vocab, 8 * vocab)];
// The folded view has a constant of its own at each position, which no probability knows.
const mean = last.reduce((a, b) => a + b, 0) / vocab;
const values = Object.fromEntries(last.slice(0, 64).map((value, at) => [at, value - mean]));
process.stdout.write(
  `${JSON.stringify({ version: executor.info.kind, values, multiplyAdds: run.multiplyAdds, peakRssBytes: peakBytes() })}\n`,
);
