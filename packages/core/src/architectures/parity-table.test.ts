import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { chooseExecutor, type Executor, referenceExecutor } from '../plan/index.ts';
import { loadDecoder } from './load-model.ts';
import { measureParity, recordedCase } from './parity.fixture.ts';
import { float64Bound, recordedFamilies } from './recorded-families.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

// Every recorded decoder beside transformers in float64, by kind of tensor: the table that says how exact each family is.
// CIRCUITSCOPE_PARITY names a file to write it to; without it nothing is measured, since golden-models.test.ts holds the bounds.

const file = process.env.CIRCUITSCOPE_PARITY;

const kinds: readonly (readonly [kind: string, sites: RegExp])[] = [
  ['stream', /hook_(resid_\w+|embed|pos_embed|attn_out|mlp_out)$|before_norm$/],
  ['norms', /(^|\.)ln\w*\.|_norm\./],
  ['q k v z', /attn\.hook_(q|k|v|z|rot_q|rot_k)$/],
  ['scores, pattern', /hook_(attn_scores|pattern)$/],
  ['MLP', /\.mlp\./],
  ['logits', /^(logits|logit_diff|loss)$/],
];

interface Cell {
  readonly worst: number;
  readonly mean: number;
}

async function cells(family: (typeof recordedFamilies)[number], executor: Executor): Promise<(Cell | null)[]> {
  const sites = await measureParity(loadDecoder(sharedPath('golden/models', family)), family, executor);
  return kinds.map(([, pattern]) => {
    const errors = sites.flatMap(({ site, error }) => (pattern.test(site) ? [error] : []));
    if (errors.length === 0) return null;
    return { worst: Math.max(...errors), mean: errors.reduce((a, b) => a + b, 0) / errors.length };
  });
}

const why = file === undefined ? 'CIRCUITSCOPE_PARITY names no file' : withoutShared;

describe.skipIf(!sharedFolder || file === undefined)(
  `the parity table${sharedFolder && file ? '' : ` (skipped: ${why})`}`,
  () => {
    test('every family, by kind of tensor, is within its bounds', { timeout: 600_000 }, async () => {
      const header = ['family', 'numbers', ...kinds.map(([kind]) => kind)];
      const lines = [header, header.map(() => '---')];
      const native = (await chooseExecutor()).executor;
      for (const family of recordedFamilies) {
        const { tolerance } = recordedCase(family);
        const runs = [
          [
            'f64 reference',
            referenceExecutor({ precision: 'f64' }),
            float64Bound(family, tolerance.float64_of_tensors_stored_as_F32),
          ],
          ['f32, the chosen executor', native, tolerance.float32],
        ] as const;
        for (const [name, executor, bound] of runs) {
          const row = await cells(family, executor);
          for (const cell of row) expect(cell?.worst ?? 0, `${family}, ${name}`).toBeLessThan(bound);
          const text = (cell: Cell | null): string =>
            cell ? `${cell.worst.toExponential(1)} / ${cell.mean.toExponential(1)}` : '';
          lines.push([family, name, ...row.map(text)]);
        }
      }
      const table = lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
      if (file !== undefined)
        writeFileSync(file, `max / mean of max |got − expected| / max |expected| by tensor\n\n${table}\n`);
      expect(lines.length).toBe(2 + 2 * recordedFamilies.length);
    });
  },
);
