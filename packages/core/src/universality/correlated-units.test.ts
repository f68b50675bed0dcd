import { describe, expect, test } from 'vitest';
import { chooseNative } from '../kernels/index.ts';
import { nativeExecutor, referenceExecutor } from '../plan/index.ts';
import { Rng, type Tensor, tensor } from '../tensor/index.ts';
import { correlatedUnits } from './correlated-units.ts';

const choice = await chooseNative({});
const executors = [
  { name: 'reference', executor: referenceExecutor() },
  ...(choice.kind === 'native' ? [{ name: 'native', executor: nativeExecutor(choice.addon) }] : []),
];

const stimuli = 200;
const units = 12;
const rng = new Rng(5, 'correlated-units');
const normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => rng.normal());
const a = tensor([stimuli, units], normal(stimuli * units));
/** Unit i of a is unit place[i] of b, scaled, shifted and a little noisy; for odd i with its sign turned. */
const place = rng.shuffle(Array.from({ length: units }, (_, at) => at));
const b = tensor([stimuli, units + 2], new Float32Array(stimuli * (units + 2)));
for (let row = 0; row < stimuli; row++) {
  for (let i = 0; i < units; i++) {
    const sign = i % 2 === 0 ? 1 : -1;
    const to = row * (units + 2) + (place[i] as number);
    b.data[to] = sign * (3 * (a.data[row * units + i] as number) + 0.1 * rng.normal()) + 50;
  }
  b.data[row * (units + 2) + units] = 7;
  b.data[row * (units + 2) + units + 1] = rng.normal();
}

function columns(of: Tensor, from: number, to: number): Tensor {
  const [rows = 0, width = 0] = of.shape;
  const data = Float32Array.from(
    { length: rows * (to - from) },
    (_, at) => of.data[Math.floor(at / (to - from)) * width + from + (at % (to - from))] as number,
  );
  return tensor([rows, to - from], data);
}

function pearson(i: number, j: number): number {
  const x = Float64Array.from({ length: stimuli }, (_, row) => a.data[row * units + i] as number);
  const y = Float64Array.from({ length: stimuli }, (_, row) => b.data[row * (units + 2) + j] as number);
  const [mx, my] = [x, y].map((z) => z.reduce((sum, value) => sum + value, 0) / stimuli) as [number, number];
  let [xy, xx, yy] = [0, 0, 0];
  x.forEach((value, row) => {
    const other = (y[row] as number) - my;
    xy += (value - mx) * other;
    xx += (value - mx) ** 2;
    yy += other ** 2;
  });
  return xy / Math.sqrt(xx * yy);
}

describe.each(executors)('$name', ({ executor }) => {
  test('units that are hidden in another order are found again, opposites by size alone', async () => {
    const bySize = await correlatedUnits(executor, a, [b], { absolute: true });
    expect([...bySize.partners]).toEqual(place);
    const signed = await correlatedUnits(executor, a, [b]);
    signed.partners.forEach((partner, i) => {
      expect(partner === place[i]).toBe(i % 2 === 0);
      expect(signed.correlations[i]).toBeCloseTo(pearson(i, partner), 6);
    });
    bySize.correlations.forEach((value, i) => {
      expect(value).toBeCloseTo(pearson(i, place[i] as number), 6);
    });
  });

  test('how the other model is cut into parts changes no bit', async () => {
    const whole = await correlatedUnits(executor, a, [b], { k: 5, absolute: true });
    async function* parts() {
      for (const [from, to] of [
        [0, 1],
        [1, 7],
        [7, 7],
        [7, 14],
      ] as const)
        yield columns(b, from, to);
    }
    expect(await correlatedUnits(executor, a, parts(), { k: 5, absolute: true })).toEqual(whole);
  });

  test('a constant unit is nobody’s partner, and has none', async () => {
    const every = await correlatedUnits(executor, a, [b], { k: units + 2 });
    expect(every.partners.includes(units)).toBe(false);
    expect([...every.partners].filter((partner) => partner === -1)).toHaveLength(units);
    const back = await correlatedUnits(executor, b, [a], { k: 1, absolute: true });
    expect([back.partners[units], back.correlations[units]]).toEqual([-1, 0]);
  });

  test('other stimuli, or no other model, are not compared', async () => {
    await expect(correlatedUnits(executor, a, [tensor([3, 1], new Float32Array(3))])).rejects.toThrow('same stimuli');
    const nobody = await correlatedUnits(executor, a, [], { k: 2 });
    expect(new Set(nobody.partners)).toEqual(new Set([-1]));
  });
});

test.skipIf(choice.kind === 'missing')('the reference and the native engine give the same bits', async () => {
  const [one, other] = await Promise.all(
    executors.map(({ executor }) => correlatedUnits(executor, a, [b], { k: 4, absolute: true })),
  );
  expect(other).toEqual(one);
});
