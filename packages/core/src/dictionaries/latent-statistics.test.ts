import { existsSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recorded, sharedFolder, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { chooseExecutor, type Executor, type LatentRows, referenceExecutor } from '../plan/index.ts';
import { activeLatents, applyDictionary } from './dictionary-graph.ts';
import { LatentStatistics, latentEdges, type TokenPlace } from './latent-statistics.ts';
import { openDictionary } from './open-dictionary.ts';
import { statisticsProgram } from './statistics-program.ts';

const LATENTS = 4;
const EXAMPLES = 3;

interface Token {
  readonly document: number;
  readonly active: readonly (readonly [latent: number, value: number])[];
}

const finite = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true, min: -3, max: 5000 }),
  fc.constantFrom(1, 2, 2 ** -12),
);
const token = (value: fc.Arbitrary<number>): fc.Arbitrary<Token> =>
  fc.record({
    document: fc.nat(3),
    active: fc
      .uniqueArray(fc.nat(LATENTS - 1), { maxLength: LATENTS })
      .chain((latents) => fc.tuple(...latents.map((latent) => fc.tuple(fc.constant(latent), value)))),
  });

function rowsOf(tokens: readonly Token[]): LatentRows {
  const entries = tokens.flatMap(({ active }) => active);
  let end = 0;
  return {
    kind: 'latents',
    shape: [tokens.length],
    rowStart: Int32Array.from([0, ...tokens.map(({ active }) => (end += active.length))]),
    latents: Int32Array.from(entries, ([latent]) => latent),
    values: Float64Array.from(entries, ([, value]) => value),
  };
}

const placesOf = (tokens: readonly Token[], from = 0): TokenPlace[] =>
  tokens.map(({ document }, at) => ({ document, position: from + at }));

function inChunks(tokens: readonly Token[], cuts: readonly number[]): LatentStatistics {
  const statistics = new LatentStatistics(LATENTS, EXAMPLES);
  const ends = [...new Set([...cuts.map((cut) => cut % (tokens.length + 1)), tokens.length])].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    statistics.add(rowsOf(tokens.slice(start, end)), placesOf(tokens.slice(start, end), start));
    start = end;
  }
  return statistics;
}

const contents = (statistics: LatentStatistics) => ({
  counted: statistics.counted,
  ...Object.fromEntries(statistics.tensors().map(({ name, data }) => [name, data])),
});

/** The definitions, latent by latent. */
function plain(tokens: readonly Token[], latent: number) {
  const found = tokens.flatMap(({ document, active }, position) =>
    active.flatMap(([of, value]) => (of === latent ? [{ value, document, position }] : [])),
  );
  const values = found.map(({ value }) => value);
  const order = (value: number): number => (Number.isNaN(value) ? Number.POSITIVE_INFINITY : value);
  return {
    count: values.length,
    sum: values.reduce((a, b) => a + b, 0),
    max: values.length === 0 ? null : values.some(Number.isNaN) ? Number.NaN : Math.max(...values),
    bins: [Number.NEGATIVE_INFINITY, ...latentEdges].map(
      (edge, at, edges) =>
        values.filter(
          (value) =>
            (value >= edge && value < (edges[at + 1] ?? Number.POSITIVE_INFINITY)) ||
            (at === edges.length - 1 && (Number.isNaN(value) || value === Number.POSITIVE_INFINITY)),
        ).length,
    ),
    examples: [...found]
      .sort(
        (a, b) =>
          Number(Number.isNaN(b.value)) - Number(Number.isNaN(a.value)) ||
          (order(b.value) === order(a.value) ? 0 : order(b.value) - order(a.value)) ||
          a.position - b.position,
      )
      .slice(0, EXAMPLES),
  };
}

describe('statistics of latents', () => {
  test('are their definitions, NaN and infinity among the values', () => {
    const value = fc.oneof(finite, fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 4));
    fc.assert(
      fc.property(fc.array(token(value), { maxLength: 30 }), (tokens) => {
        const statistics = inChunks(tokens, []);
        expect(statistics.counted).toBe(tokens.length);
        const bins = latentEdges.length + 1;
        for (let latent = 0; latent < LATENTS; latent++) {
          const wish = plain(tokens, latent);
          const { count, mean, max, examples } = statistics.summary(latent);
          expect({ count, max, examples }).toEqual({ count: wish.count, max: wish.max, examples: wish.examples });
          expect(mean).toEqual(wish.count === 0 ? null : wish.sum / wish.count);
          expect([...statistics.histogram.subarray(latent * bins, (latent + 1) * bins)]).toEqual(wish.bins);
        }
      }),
    );
  });

  test('many chunks have the bits of one, and so has a state that was kept in between', () => {
    fc.assert(
      fc.property(
        fc.array(token(finite), { maxLength: 40 }),
        fc.array(fc.nat(40), { maxLength: 5 }),
        (tokens, cuts) => {
          const whole = contents(inChunks(tokens, []));
          expect(contents(inChunks(tokens, cuts))).toEqual(whole);
          const half = Math.floor(tokens.length / 2);
          const first = inChunks(tokens.slice(0, half), []);
          const kept = new Map(first.tensors().map(({ name, data }) => [name, data.slice()]));
          const resumed = LatentStatistics.restore(
            LATENTS,
            EXAMPLES,
            first.counted,
            (name) => kept.get(name) ?? new Float64Array(),
          );
          resumed.add(rowsOf(tokens.slice(half)), placesOf(tokens.slice(half), half));
          expect(contents(resumed)).toEqual(whole);
        },
      ),
    );
  });

  test('merged stretches are one pass, sums within a rounding each', () => {
    fc.assert(
      fc.property(fc.array(token(finite), { maxLength: 40 }), fc.nat(40), (tokens, cut) => {
        const at = Math.min(cut, tokens.length);
        const merged = inChunks(tokens.slice(0, at), []);
        const later = new LatentStatistics(LATENTS, EXAMPLES);
        later.add(rowsOf(tokens.slice(at)), placesOf(tokens.slice(at), at));
        merged.merge(later);
        const [got, wish] = [contents(merged), contents(inChunks(tokens, []))];
        for (const [name, value] of Object.entries(wish)) {
          if (name !== 'sum' && name !== 'sum_squares') expect(Reflect.get(got, name), name).toEqual(value);
        }
        const absolute = tokens.flatMap(({ active }) => active).reduce((sum, [, value]) => sum + Math.abs(value), 0);
        for (let latent = 0; latent < LATENTS; latent++) {
          const { count, mean } = merged.summary(latent);
          const sum = plain(tokens, latent).sum;
          expect(Math.abs((mean ?? 0) * count - sum)).toBeLessThanOrEqual(tokens.length * 2 ** -52 * absolute);
        }
      }),
    );
    expect(() => new LatentStatistics(2, 3).merge(new LatentStatistics(2, 4))).toThrow(/cannot be added/);
  });

  test('rows without a place are not counted', () => {
    const statistics = new LatentStatistics(LATENTS, EXAMPLES);
    statistics.add(
      rowsOf([
        { document: 0, active: [[1, 3]] },
        { document: 0, active: [[1, 5]] },
      ]),
      [null, { document: 4, position: 7 }],
    );
    expect(statistics.counted).toBe(1);
    expect(statistics.summary(1)).toMatchObject({ count: 1, frequency: 1, mean: 5, deviation: 0, max: 5 });
    expect(statistics.summary(1).examples).toEqual([{ value: 5, document: 4, position: 7 }]);
    expect(statistics.summary(0)).toMatchObject({ count: 0, mean: null, max: null, examples: [] });
  });
});

const root = 'golden/sae';
const folders = sharedFolder
  ? readdirSync(sharedPath(root))
      .flatMap((name) => [name, `${name}/inference`])
      .filter((name) => existsSync(sharedPath(root, name, 'cfg.json')))
  : [];

const executors: readonly { readonly name: string; readonly get: () => Promise<Executor>; readonly bound: number }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 1e-9 },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 1e-4 },
];

describe.skipIf(!sharedFolder)(`recorded dictionaries${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  describe.each(executors)('$name', ({ get, bound }) => {
    test.each(folders)(
      '%s: counted where they are made, in one batch or two, they are those of the sparse rows',
      async (name) => {
        const dictionary = openDictionary(sharedPath(root, name));
        if (dictionary.kind !== 'dictionary') throw new Error('no dictionary');
        const executor = await get();
        const x = recorded(root, name, 'expected.safetensors').read('x');
        const [rows = 0, ...inner] = x.shape;
        const counting = statisticsProgram(dictionary, inner, EXAMPLES);
        // A gate, or a choice among all, needs the latents of a token together.
        expect(counting === null, dictionary.encoder.kind).toBe(
          !['relu', 'jumprelu'].includes(dictionary.encoder.kind),
        );
        if (!counting) return;
        const places = Array.from({ length: rows }, (_, position) =>
          position % 5 === 2 ? null : { document: 0, position },
        );
        const wish = new LatentStatistics(dictionary.latents, EXAMPLES);
        wish.add(await activeLatents(dictionary, x, executor), places);
        const width = x.data.length / rows;
        for (const ends of [[rows], [3, rows]]) {
          const got = new LatentStatistics(dictionary.latents, EXAMPLES);
          let start = 0;
          for (const end of ends) {
            const own = places.slice(start, end);
            const inputs = {
              x: x.data.slice(start * width, end * width),
              counted: Int32Array.from(own, (place) => (place ? 1 : 0)),
              before: got.sums,
            };
            const sizes = { batch: own.length, pos: 1 };
            const out = await executor.execute(counting.program, counting.weights, { sizes, inputs });
            const { sums, counts, values, rows: tokens } = out;
            if (!(sums instanceof Float64Array) || !(counts instanceof Int32Array)) throw new Error('no counts');
            if (!values || values instanceof Int32Array || !(tokens instanceof Int32Array))
              throw new Error('no examples');
            got.addCounted({ sums, counts, values, rows: tokens }, own);
            start = end;
          }
          expect(contents(got)).toEqual(contents(wish));
        }
      },
    );

    test.each(folders)(
      '%s: sparse rows have the bits of dense ones, and add up to what SAELens recorded',
      async (name) => {
        const dictionary = openDictionary(sharedPath(root, name));
        if (dictionary.kind !== 'dictionary') throw new Error('no dictionary');
        const executor = await get();
        const file = recorded(root, name, 'expected.safetensors');
        const x = file.read('x');
        const rows = await activeLatents(dictionary, x, executor);
        const dense = (await applyDictionary(dictionary, x, executor)).latents.data;
        const active = Array.from(dense, (value, at) => ({ value, at })).filter(({ value }) => value !== 0);
        const F = dictionary.latents;
        expect([...rows.values]).toEqual(active.map(({ value }) => value));
        expect([...rows.latents]).toEqual(active.map(({ at }) => at % F));
        const tokens = x.shape[0] ?? 0;
        const statistics = new LatentStatistics(F, 2);
        statistics.add(
          rows,
          Array.from({ length: tokens }, (_, position) => ({ document: 0, position })),
        );
        const exact = file.read('latents').data;
        let seen = 0;
        for (let latent = 0; latent < F; latent++) {
          const values = Array.from({ length: tokens }, (_, row) => exact[row * F + latent] ?? 0).filter(
            (v) => v !== 0,
          );
          const { count, mean, deviation, max, examples } = statistics.summary(latent);
          expect(count).toBe(values.length);
          if (count === 0) continue;
          seen++;
          const average = values.reduce((a, b) => a + b, 0) / count;
          const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / count);
          const scale = Math.max(...values.map(Math.abs));
          expect(Math.abs((mean ?? 0) - average)).toBeLessThan(bound * scale);
          expect(Math.abs((max ?? 0) - Math.max(...values))).toBeLessThan(bound * scale);
          // The difference of two squares loses half of the digits.
          expect(Math.abs((deviation ?? 0) - spread)).toBeLessThan(Math.sqrt(bound) * scale);
          expect(examples).toHaveLength(Math.min(2, count));
        }
        expect(seen).toBeGreaterThan(0);
      },
    );
  });
});
