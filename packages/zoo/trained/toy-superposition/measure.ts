import { bestOfSeeds, chooseExecutor, featureGeometry, phaseCell, type ToySizes } from '@circuitscope/core';

// Makes measured.json: bun measure.ts > measured.json. Ten to twenty minutes on one core.

const STEPS = 2000;
const { executor } = await chooseExecutor();

const rounded = (value: number): number => Number(value.toPrecision(5));
const seeds = (count: number): number[] => Array.from({ length: count }, (_, seed) => seed);
const progress = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** The best of the seeds, and how its features stand. */
async function measured(sizes: ToySizes, count: number) {
  const best = await bestOfSeeds(sizes, { executor, seeds: seeds(count), steps: STEPS, threads: 1 });
  const W = best.weights.get('W');
  if (!W) throw new Error('no W');
  const { norms, dimensionality, dimensionsPerFeature } = featureGeometry(W);
  progress(JSON.stringify(sizes));
  return {
    ...sizes,
    seed: best.seed,
    losses: best.losses.map(rounded),
    norms: norms.map(rounded),
    dimensionality: dimensionality.map(rounded),
    dimensionsPerFeature: rounded(dimensionsPerFeature),
  };
}

const phases = [];
for (const ratio of [1, 0.5, 0.25, 0.1]) {
  for (const probability of [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1]) {
    const cell = await phaseCell({ ratio, probability }, { executor, seeds: seeds(5), steps: STEPS, threads: 1 });
    const { loss, dedicated, antipodal, smallerNorm, found } = cell;
    phases.push({
      ratio,
      probability,
      found,
      loss: rounded(loss),
      dedicated: rounded(dedicated),
      antipodal: rounded(antipodal),
      smallerNorm: rounded(smallerNorm),
    });
    progress(JSON.stringify(phases.at(-1)));
  }
}

const five = [];
for (const decay of [1, 0.9]) {
  for (const sparsity of [0, 0.7, 0.8, 0.9, 0.95, 0.99]) {
    five.push(await measured({ features: 5, hidden: 2, sparsity, decay }, 5));
  }
}

const twenty = [];
for (const decay of [1, 0.9, 0.7]) {
  for (const sparsity of [0, 0.7, 0.9, 0.97, 0.99]) {
    twenty.push(await measured({ features: 20, hidden: 5, sparsity, decay }, 3));
  }
}

process.stdout.write(`${JSON.stringify({ steps: STEPS, phases, five, twenty }, null, 1)}\n`);
