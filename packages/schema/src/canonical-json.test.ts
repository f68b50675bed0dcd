import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import { CircuitscopeError } from './error.ts';

/** Copies a value with every object's keys in reverse order. */
function reverseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, child]) => [key, reverseKeys(child)]),
  );
}

test('keys are sorted by UTF-16 units, without white space', () => {
  expect(canonicalJson({ b: [1, 2.5, 'x'], a: { é: null, Z: true } })).toBe(
    '{"a":{"Z":true,"é":null},"b":[1,2.5,"x"]}',
  );
});

test('the text does not depend on the order of keys', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => canonicalJson(reverseKeys(value)) === canonicalJson(value)));
});

test('the text reads back as the value, negative zero as zero', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value));
      expect(JSON.parse(canonicalJson(value))).toEqual(plain);
    }),
  );
  expect(canonicalJson(-0)).toBe('0');
});

test.each([
  ['NaN', { a: [0, Number.NaN] }, 'a[1]'],
  ['infinity', { a: Number.POSITIVE_INFINITY }, 'a'],
  ['undefined', { a: undefined }, 'a'],
  ['a function', { a: () => 1 }, 'a'],
  ['a symbol', [Symbol('x')], '[0]'],
  ['a symbol as key', { a: { [Symbol('x')]: 1 } }, 'a'],
  ['a bigint', [1n], '[0]'],
  ['a hole', { a: new Array(2) }, 'a[0]'],
  ['a typed array', { a: new Float32Array(2) }, 'a'],
  ['a date', { a: new Date(0) }, 'a'],
  ['a map', { 'odd key': new Map() }, '["odd key"]'],
])('%s is refused, with its place', (_, value, at) => {
  expect(() => canonicalJson(value)).toThrow(expect.objectContaining({ code: 'not_json', at }));
});

test('a value that contains itself is refused, not followed for ever', () => {
  const loop: { self?: unknown } = {};
  loop.self = loop;
  expect(() => canonicalJson(loop)).toThrow(CircuitscopeError);
});
