import { describe, expect, test } from 'vitest';
import { benchRecord, benchResult } from '../fixtures/bench-record.ts';
import { layoutRoofline } from './layout-roofline.ts';
import { placeLabels } from './place-labels.ts';
import { rooflineOf, threadsOf } from './roofline.ts';
import { rooflineSvg } from './roofline-svg.ts';

const roofline = rooflineOf(benchRecord, 1);
const sized = { width: 800, height: 500 };

describe('a roofline', () => {
  test('places every right result by operations a byte and a second, held against the lower roof', () => {
    const at = (operation: string, by: string, regime = 'hot') =>
      roofline.points.find(
        (point) => point.operation === operation && point.implementation === by && point.regime === regime,
      );
    expect(roofline.points).toHaveLength(7);
    expect(at('sgemm-512', 'circuitscope')).toMatchObject({ intensity: 100, flops: 5e10, share: 0.5, isOwn: true });
    expect(at('sgemm-512', 'gemm')).toMatchObject({ flops: 6.25e10, isOwn: false, version: '1.2' });
    expect(at('gemv-f32', 'circuitscope')).toMatchObject({ intensity: 0.5, flops: 5e9, share: 1 });
    expect(at('gemv-f32', 'circuitscope', 'cold')?.share).toBeCloseTo(0.625);
    expect(roofline.withoutFlops).toEqual(['softmax-8x8']);
  });

  test('has memory for all threads, caches whose size was measured, and one ceiling that holds', () => {
    expect(roofline.slopes.map(({ from, threads, holds }) => [from, threads, holds])).toEqual([
      ['memory', 1, true],
      ['memory', 2, false],
      ['L2', 1, true],
    ]);
    expect(roofline.ceilings.filter(({ holds }) => holds)).toEqual([
      { isa: 'avx2', threads: 1, flops: 1e11, holds: true },
    ]);
  });

  test('is of the most threads unless others are asked for, and needs no result', () => {
    expect(threadsOf(benchRecord)).toEqual([1, 2]);
    expect(rooflineOf(benchRecord).threads).toBe(2);
    const bare = rooflineOf({ ...benchRecord, results: [] });
    expect([bare.threads, bare.points]).toEqual([2, []]);
    expect(layoutRoofline(bare, sized).roofs.length).toBeGreaterThan(0);
    const nothing = rooflineOf({ machine: { ...benchRecord.machine, peaks: [], bandwidths: [] }, results: [] });
    const empty = layoutRoofline(nothing, sized);
    expect(empty.roofs).toEqual([]);
    expect(empty.xTicks.every(({ at }) => Number.isFinite(at))).toBe(true);
  });
});

describe('its layout', () => {
  const layout = layoutRoofline(roofline, sized);

  test('meets memory and ceiling at the ridge, inside the frame, and keeps every point in it', () => {
    const ceiling = layout.roofs.find(({ kind, holds }) => kind === 'ceiling' && holds);
    const memory = layout.roofs.find(({ kind, holds }) => kind === 'memory' && holds);
    expect([memory?.x2, memory?.y2]).toEqual([ceiling?.x1, ceiling?.y1]);
    for (const { x, y } of [...layout.points, { x: ceiling?.x1 ?? 0, y: ceiling?.y1 ?? 0 }]) {
      expect(x).toBeGreaterThan(layout.frame.x);
      expect(x).toBeLessThan(layout.frame.x + layout.frame.width);
      expect(y).toBeGreaterThan(layout.frame.y);
      expect(y).toBeLessThan(layout.frame.y + layout.frame.height);
    }
  });

  test('names each operation once in each regime, and all implementations of one that is chosen', () => {
    expect(layout.labels.map(({ text }) => text).sort()).toEqual(['gemv-f32', 'gemv-f32, cold', 'sgemm-512']);
    const chosen = layoutRoofline(roofline, { ...sized, operation: 'sgemm-512' });
    expect(chosen.labels.map(({ text }) => text).sort()).toEqual(['circuitscope', 'gemm', 'packing', 'torch']);
    const token = layoutRoofline(roofline, { ...sized, operation: 'gemv-f32' });
    expect(token.labels.map(({ text }) => text).sort()).toEqual(['circuitscope', 'torch']);
  });

  test('is the same each time, and holds in a narrow place', () => {
    expect(layoutRoofline(roofline, sized)).toEqual(layout);
    const narrow = layoutRoofline(roofline, { width: 300, height: 320 });
    expect(narrow.points.every(({ x }) => x > 0 && x < 300)).toBe(true);
  });
});

test('labels cover neither each other nor a point while there is room, and all are placed', () => {
  const crowd = Array.from({ length: 12 }, (_, at) => ({ text: `kernel-${at}`, x: 200 + (at % 3), y: 150 + at }));
  const frame = { x: 0, y: 0, width: 400, height: 300 };
  const labels = placeLabels(crowd, { frame, obstacles: [], size: 11 });
  expect(labels).toHaveLength(12);
  for (const [at, a] of labels.entries()) {
    for (const b of labels.slice(at + 1)) {
      const apart = Math.abs(a.textY - b.textY) >= 11 || Math.abs(a.textX - b.textX) >= 8 * 11 * 0.5;
      expect(apart, `${a.text} and ${b.text}`).toBe(true);
    }
  }
});

describe('as a file', () => {
  test('it holds every point with what it says, and both colour schemes', () => {
    const svg = rooflineSvg(roofline);
    expect(svg.match(/<title>/g)).toHaveLength(7);
    expect(svg).toContain(
      'sgemm-512 by gemm 1.2: 62.5 GFLOP/s at 100 FLOP a byte, 63 % of the roof, median 800 µs</title>',
    );
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('no name in it becomes markup', () => {
    const hostile = '<script>alert(1)</script>&"\'\u0000';
    const svg = rooflineSvg(
      rooflineOf({
        machine: { ...benchRecord.machine, cpu: { model: hostile, flags: [] } },
        results: [benchResult({ operation: hostile, flops: 1e6, bytes: 1e5, by: hostile })],
      }),
    );
    expect(svg).not.toContain('<script');
    expect(svg).not.toContain('\u0000');
    expect(new DOMParser().parseFromString(svg, 'image/svg+xml').querySelectorAll('script')).toHaveLength(0);
  });
});
