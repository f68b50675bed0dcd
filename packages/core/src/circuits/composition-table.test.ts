import { expect, test } from 'vitest';
import { composition } from './composition.ts';
import { compositionTable } from './composition-table.ts';
import { randomAttentionOnly, randomGroupedLlama } from './random-model.fixture.ts';

test.each([
  ['without norms', randomAttentionOnly(null)],
  ['behind layer norms', randomAttentionOnly('LN')],
  ['behind RMS norms, with shared keys and values', randomGroupedLlama()],
])('every pair of heads, each port: as one by one, %s', async (_, { model }) => {
  const { layers, heads } = model.spec;
  const shares: number[] = [];
  const pairs = await compositionTable(model, { onProgress: (share) => shares.push(share) });
  expect(pairs).toHaveLength((3 * heads * heads * layers * (layers - 1)) / 2);
  expect(shares).toEqual(Array.from({ length: layers * heads }, (_, at) => at / (layers * heads)));
  for (const { from, to, port, raw, baseline } of pairs) {
    expect(from.layer).toBeLessThan(to.layer);
    const single = composition(model, from, to, port);
    expect(raw).toBeCloseTo(single.raw, 12);
    expect(baseline).toBe(single.baseline);
  }
});

test('it ends when it is cancelled', async () => {
  const controller = new AbortController();
  const { model } = randomAttentionOnly(null);
  const work = compositionTable(model, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(work).rejects.toThrow();
});
