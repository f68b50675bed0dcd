import type { GradientTarget, Intervention, Readout, Site } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { randomTensor, randomTokens, smallModels } from '../plan/fixtures/small-models.ts';
import { makePlan, readoutTensor, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { memoryDictionary } from './memory-dictionary.ts';
import { replaceMlp, spliceDictionary } from './splice-dictionary.ts';

// Gradients with respect to latents, in float64: what attribution to latents and error nodes rests on.

const executor = referenceExecutor({ precision: 'f64' });
const model = smallModels.gpt2();
const width = model.spec.width;
const latents = 17;
const site = 'blocks.1.hook_resid_pre';
const tokens = randomTokens(3, 2, 6);

const W_enc = randomTensor(1, [width, latents], width ** -0.5);
const W_dec = randomTensor(2, [latents, width], 0.4);
const dictionary = memoryDictionary(
  'random',
  { dIn: width, latents, encoder: { kind: 'relu' }, reads: site },
  { W_enc, W_dec, b_enc: randomTensor(3, [latents], 0.3), b_dec: randomTensor(4, [width], 0.3) },
);
const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
const post = `${site}.hook_sae_acts_post`;

const target: GradientTarget = {
  kind: 'logitDiff',
  at: { kind: 'last' },
  answer: [3, 9],
  wrong: [11, 4],
  reduce: 'sum',
};

async function gradients(
  of: Model,
  sites: readonly Site[],
  interventions: readonly Intervention[] = [],
): Promise<Tensor[]> {
  const readouts = sites.map(
    (one): Readout => ({ kind: 'gradient', of: [target], wrt: { kind: 'site', at: { site: one } } }),
  );
  const run = await runPlan(engineFor(of, executor), makePlan(of.graph, { readouts, interventions }), { tokens });
  return sites.map((_, at) => readoutTensor(run, at));
}

async function logitDiff(of: Model, interventions: readonly Intervention[]): Promise<number> {
  const readouts: Readout[] = [{ kind: 'logitDiff', at: { kind: 'last' }, answer: [3, 9], wrong: [11, 4] }];
  const run = await runPlan(engineFor(of, executor), makePlan(of.graph, { readouts, interventions }), { tokens });
  return Array.from(readoutTensor(run, 0).data).reduce((a, b) => a + b, 0);
}

function expectClose(got: Tensor, want: Tensor): void {
  const largest = Math.max(...Array.from(want.data, Math.abs));
  expect(largest).toBeGreaterThan(0);
  expect(got.data.length).toBe(want.data.length);
  got.data.forEach((value, at) => {
    expect(Math.abs(value - (want.data[at] ?? Number.NaN))).toBeLessThan(1e-10 * largest);
  });
}

test('the gradient of a latent is what a small change of it does to the answer', async () => {
  const [gradient] = await gradients(spliced, [post]);
  const h = 1e-5;
  for (const unit of [0, 5, 16]) {
    const nudge = (value: number): Intervention => ({
      kind: 'write',
      at: { site: post, unit: [unit], at: { kind: 'positions', positions: [2] } },
      op: 'add',
      value: { kind: 'const', value },
    });
    const slope = ((await logitDiff(spliced, [nudge(h)])) - (await logitDiff(spliced, [nudge(-h)]))) / (2 * h);
    const of = (example: number) => gradient?.data[(example * 6 + 2) * latents + unit] ?? Number.NaN;
    expect(of(0) + of(1)).toBeCloseTo(slope, 6);
    expect(Math.abs(slope)).toBeGreaterThan(1e-4);
  }
});

test('with the error kept, gradients pass a dictionary as if it were not there', async () => {
  const sites = ['hook_embed', 'blocks.0.mlp.hook_post', site];
  const got = await gradients(spliced, sites);
  const want = await gradients(model, sites);
  for (const index of sites.keys()) expectClose(got[index]!, want[index]!);
});

test('with the error detached, they pass through its latents alone', async () => {
  const detach: Intervention = { kind: 'detach', at: { site: `${site}.hook_sae_error` } };
  const input = `${site}.hook_sae_input`;
  const [after, before] = await gradients(spliced, [site, input], [detach]);
  const read = makePlan(spliced.graph, { readouts: [{ kind: 'capture', at: { site: post } }] });
  const f = readoutTensor(await runPlan(engineFor(spliced, executor), read, { tokens }), 0);
  const want = new Float64Array(2 * 6 * width);
  for (let row = 0; row < 12; row++) {
    for (let unit = 0; unit < latents; unit++) {
      if (!f.data[row * latents + unit]) continue;
      let along = 0;
      for (let i = 0; i < width; i++)
        along += (after?.data[row * width + i] ?? 0) * (W_dec.data[unit * width + i] ?? 0);
      for (let i = 0; i < width; i++) want[row * width + i]! += along * (W_enc.data[i * latents + unit] ?? 0);
    }
  }
  expectClose(before!, { shape: before!.shape, data: want });
});

test('a transcoder with its error detached lets gradients by the MLP through its latents alone', async () => {
  const transcoder = memoryDictionary(
    'random',
    { dIn: width, latents, encoder: { kind: 'relu' }, transcoder: true, reads: 'blocks.1.hook_resid_mid' },
    { W_enc, W_dec, b_enc: randomTensor(3, [latents], 0.3), b_dec: randomTensor(4, [width], 0.3) },
  );
  const out = 'blocks.1.hook_mlp_out';
  const kept = replaceMlp(model, { transcoder, error: 'keep' });
  const detach: Intervention = { kind: 'detach', at: { site: `${out}.hook_sae_error` } };
  const whole = await gradients(kept, ['blocks.0.hook_resid_pre', `${out}.hook_sae_acts_post`]);
  const alone = await gradients(kept, ['blocks.0.hook_resid_pre', `${out}.hook_sae_acts_post`], [detach]);
  expect(Array.from(whole[1]!.data)).toEqual(Array.from(alone[1]!.data));
  expectClose(whole[0]!, (await gradients(model, ['blocks.0.hook_resid_pre']))[0]!);
  const [throughMlp] = await gradients(kept, [`${out}.hook_sae_target`], [detach]);
  expect(throughMlp!.data.every((value) => value === 0)).toBe(true);
  expect(Array.from(alone[0]!.data)).not.toEqual(Array.from(whole[0]!.data));
});
