import { expect, test } from 'vitest';
import { atan2, cos, sin } from './portable-trigonometry.ts';

const close = 1e-15;

test('sine and cosine agree with the runtime to a few units of the last place', () => {
  for (let i = -20_000; i <= 20_000; i++) {
    const x = i * 0.0137;
    expect(Math.abs(sin(x) - Math.sin(x))).toBeLessThan(close);
    expect(Math.abs(cos(x) - Math.cos(x))).toBeLessThan(close);
  }
});

test('quarters of a turn, zero and large angles', () => {
  expect([sin(0), cos(0)]).toEqual([0, 1]);
  expect([sin(Math.PI / 2), cos(Math.PI)]).toEqual([1, -1]);
  for (const x of [1000, -4321.5, 9999.75]) expect(Math.abs(sin(x) - Math.sin(x))).toBeLessThan(4 * close);
  expect(() => sin(1e6)).toThrow(RangeError);
  expect(() => cos(Number.NaN)).toThrow(RangeError);
});

test('the angle of every direction, each quadrant and axis', () => {
  for (let i = 0; i < 5000; i++) {
    const [x, y] = [Math.cos(i) * (1 + (i % 7)), Math.sin(i) * (1 + (i % 7))];
    expect(Math.abs(atan2(y, x) - Math.atan2(y, x))).toBeLessThan(2 * close);
  }
  expect([atan2(0, 1), atan2(1, 0), atan2(0, -1), atan2(-1, 0), atan2(0, 0)]).toEqual([
    0,
    Math.PI / 2,
    Math.PI,
    -Math.PI / 2,
    0,
  ]);
});

test('bits that must not change: they stand in stored stimuli', () => {
  const bits = (x: number): string => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, x);
    return view.getBigUint64(0).toString(16);
  };
  expect([sin(1), cos(1), sin(100), cos(-7.25), atan2(1, 3), atan2(-2, -1)].map(bits)).toMatchInlineSnapshot(`
    [
      "3feaed548f090cee",
      "3fe14a280fb5068c",
      "bfe03425b78c4db8",
      "3fe22c6f50dc3fbf",
      "3fd4978fa3269ee1",
      "c000468a8ace4df6",
    ]
  `);
});
