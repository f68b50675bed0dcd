import { describe, expect, test } from 'vitest';
import { parseAlignment } from './alignment.ts';

const issues = (value: unknown) => {
  const parsed = parseAlignment(value);
  return parsed.ok ? [] : parsed.issues.map(({ path, message }) => `${path}: ${message}`);
};

describe('an alignment', () => {
  test('places variables in units, heads, directions or whole sites, and is kept as it is', () => {
    const value = {
      tokens: { site: 'hook_embed', units: [1, 5], encoding: 'one_hot' },
      previous: { site: 'blocks.0.attn.hook_z', head: [3], shift: -1 },
      match: { site: 'blocks.1.attn.hook_pattern', head: [0, 1] },
      sum: { site: 'blocks.0.hook_mlp_out', directions: [[0.6, 0.8]] },
      rest: { site: 'blocks.0.hook_mlp_out', unit: [0, 3] },
    };
    expect(parseAlignment(value)).toEqual({ ok: true, value });
  });

  test('says where it is wrong', () => {
    expect(issues({ a: { sit: 'hook_embed' } })).toEqual(
      expect.arrayContaining([expect.stringMatching(/^a\.site: /), 'a.sit: unknown key']),
    );
    expect(issues({ a: { site: 'hook embed' } })).toEqual(['a.site: expected a site such as blocks.3.attn.hook_z']);
    expect(issues({ a: { site: 'hook_embed', units: [5, 5] } })).toEqual([
      'a.units: a range of units is [first, one after the last]',
    ]);
    expect(issues({ a: { site: 'hook_embed', units: [0, 5], unit: [7] } })).toEqual([
      'a: a part has units, unit or directions, only one of them',
    ]);
    expect(issues({})).toEqual([': alignment: an alignment places at least one variable']);
    expect(issues([])).toHaveLength(1);
    expect(issues(null)).toHaveLength(1);
  });

  test('bounds its ranges: a unit beyond any site is refused before it is counted out', () => {
    expect(issues({ a: { site: 'hook_embed', units: [0, 2 ** 40] } })).toEqual([
      'a.units: a range has at most 1048576 units',
    ]);
  });
});
