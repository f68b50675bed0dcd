import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { parseJson } from './parse-json.ts';

const parse = (text: string, more = {}) =>
  parseJson(new TextEncoder().encode(text), { code: 'bad', at: 'x.json', ...more });
const refusal = (text: string, more = {}): string => {
  try {
    parse(text, more);
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'bad') return error.message;
    throw error;
  }
  return 'accepted';
};

describe('parseJson', () => {
  test('valid text reads as JSON.parse reads it', () => {
    const text = '{"a":[1,-2.5e3,{"b":"x:\\"{[","c":null}],"":true,"a\\u0062":{"a":1}}';
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('equal keys in one object are refused, however they are spelled; in different objects they are fine', () => {
    expect(refusal('{"a":1,"a":2}')).toMatch(/"a" twice/);
    expect(refusal('{"a":1, "\\u0061" : 2}')).toMatch(/"a" twice/);
    expect(refusal('{"x":{"a":1},"y":[{"a":1},{"a":2}],"z":["a","a"]}')).toBe('accepted');
  });

  test('a depth bomb is refused by the scan, without recursion', () => {
    expect(refusal('['.repeat(4_000_000))).toMatch(/deeper than 64/);
    expect(refusal('{"a":'.repeat(1_000_000))).toMatch(/deeper than 64/);
    expect(refusal('[[[1]]]', { maxDepth: 3 })).toBe('accepted');
    expect(refusal('[[[[1]]]]', { maxDepth: 3 })).toMatch(/deeper than 3/);
  });

  test('a key named __proto__ is a key and changes no prototype', () => {
    const value = parse('{"__proto__":{"polluted":1}}');
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });

  test('broken text is refused', () => {
    for (const text of [
      '',
      '{',
      '"',
      '"\\',
      '{"a":1}}',
      '{"a"}',
      '{"\\x":1}',
      '[1,]',
      '\ufeff{}',
      'NaN',
      '{"a":\u0000}',
    ]) {
      expect(refusal(text), JSON.stringify(text)).toMatch(/JSON|string/);
    }
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), { code: 'bad', at: 'x' })).toThrow(/UTF-8/);
  });

  test('a reader that wants whole numbers alone meets no sign, fraction, exponent or literal', () => {
    const more = { unsignedIntegersOnly: true };
    expect(refusal('{"a.e-":[1, 20]}', more)).toBe('accepted');
    for (const text of ['[-1]', '[1.0]', '[1e2]', '[true]', '[null]', '[+1]'])
      expect(refusal(text, more)).toMatch(/outside/);
  });
});
