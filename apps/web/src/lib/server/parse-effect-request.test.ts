import { describe, expect, it } from 'vitest';
import { MAX_BODY, MAX_CUTS, parseEffectRequest, parseHashParam, parseIndex } from './parse-effect-request.ts';

const head = { kind: 'head', layer: 0, head: 0 };
const reader = { kind: 'head', layer: 1, head: 0, port: 'k' };
const parse = (value: unknown) => parseEffectRequest(JSON.stringify(value));

describe('parseEffectRequest', () => {
  it('reads edges and units', () => {
    expect(parse({ ablation: 'zero', edges: [{ from: head, to: reader }], units: [head] })).toEqual({
      ablation: 'zero',
      edges: [{ from: head, to: reader }],
      units: [head],
    });
    expect(parse({ ablation: 'resample', units: [{ kind: 'mlp', layer: 3 }] }).edges).toEqual([]);
  });

  it('names the place of what is wrong', () => {
    expect(() => parse({ ablation: 'zero', edges: [{ from: head, to: { ...reader, port: 'x' } }] })).toThrow(
      'edges[0].to',
    );
    expect(() => parse({ ablation: 'zero', units: [{ kind: 'head', layer: -1, head: 0 }] })).toThrow('layer');
    expect(() => parse({ ablation: 'zero', units: [{ ...head, extra: 1 }] })).toThrow('unknown key');
  });

  it('refuses what is not a cut', () => {
    for (const body of [null, [], 'text', 7, {}, { ablation: 'zero' }, { ablation: 'mean', units: [head] }]) {
      expect(() => parse(body)).toThrow('Not a valid cut');
    }
    expect(() => parseEffectRequest('{')).toThrow('JSON');
    expect(() => parse({ ablation: 'zero', units: [head], path: '/etc/passwd' })).toThrow('"path"');
    expect(() => parse({ ablation: 'zero', units: { length: 3 } })).toThrow('a list');
    expect(() => parse({ ablation: 'zero', edges: [{ from: head, to: reader, hash: 'x' }] })).toThrow('"hash"');
  });

  it('bounds the work that one request may ask for', () => {
    expect(parse({ ablation: 'zero', units: Array.from({ length: MAX_CUTS }, () => head) }).units).toHaveLength(
      MAX_CUTS,
    );
    expect(() => parse({ ablation: 'zero', units: Array.from({ length: MAX_CUTS + 1 }, () => head) })).toThrow(
      'at most',
    );
    expect(() =>
      parse({
        ablation: 'zero',
        units: [head],
        edges: Array.from({ length: MAX_CUTS }, () => ({ from: head, to: reader })),
      }),
    ).toThrow('at most');
    expect(() => parseEffectRequest(' '.repeat(MAX_BODY + 1))).toThrow('at most');
  });

  it('keeps prototypes out', () => {
    expect(() => parseEffectRequest('{"ablation":"zero","units":[{"__proto__":{"kind":"input"}}]}')).toThrow();
    expect(() => parseEffectRequest('{"__proto__":{"ablation":"zero"},"units":[{"kind":"input"}]}')).toThrow(
      'Not a valid cut',
    );
  });
});

describe('what a URL may say', () => {
  it('is a small whole number', () => {
    expect(parseIndex('12', 'layer')).toBe(12);
    for (const text of [null, '', '-1', '1.5', '1e3', ' 1', '0x1', '9999999999'])
      expect(() => parseIndex(text, 'layer')).toThrow('layer');
  });

  it('is a hash and never a path', () => {
    const hash = `sha256:${'a'.repeat(64)}`;
    expect(parseHashParam(hash)).toBe(hash);
    for (const text of ['../../etc/passwd', 'sha256:..', `${hash}/..`, `sha256:${'A'.repeat(64)}`, '']) {
      expect(() => parseHashParam(text)).toThrow('not the address of a circuit');
    }
  });
});
