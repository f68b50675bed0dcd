import { expect, test } from 'vitest';
import { strokeOf, THICKEST, THINNEST } from './stroke.ts';

test('width grows with the size of the weight, whatever its sign', () => {
  expect(strokeOf(8, 8, false).width).toBe(THICKEST);
  expect(strokeOf(-8, 8, false).width).toBe(THICKEST);
  expect(strokeOf(0, 8, false).width).toBe(THINNEST);
  expect(strokeOf(4, 8, false).width).toBe((THINNEST + THICKEST) / 2);
});

test('sign shows by colour and by dashes', () => {
  expect(strokeOf(1, 1, false)).toMatchObject({ tone: 'positive', dash: undefined });
  expect(strokeOf(-1, 1, false).tone).toBe('negative');
  expect(strokeOf(-1, 1, false).dash).toBeDefined();
});

test('an unsigned weight never has the colour of a positive one', () => {
  expect(strokeOf(1, 1, true)).toMatchObject({ tone: 'unsigned', dash: undefined });
});

test('an unsigned weight below its baseline is dashed, without the colour of negative ones', () => {
  expect(strokeOf(-0.1, 1, true).tone).toBe('unsigned');
  expect(strokeOf(-0.1, 1, true).dash).toBeDefined();
});

test('no weight is dotted, which a weight of 0 is not', () => {
  expect(strokeOf(undefined, 1, false)).toMatchObject({ tone: 'missing', width: 1 });
  expect(strokeOf(0, 0, false)).toMatchObject({ tone: 'positive', width: THINNEST });
});
