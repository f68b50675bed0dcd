import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSafetensors } from '@circuitscope/core/checkpoints';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

const HANDWRITTEN = 'zoo:induction-handwritten';
const SITE = 'blocks.0.hook_resid_post';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const features = (...words: string[]) => circuitscope(['features', ...words], { cwd: folder });

async function json(...words: string[]) {
  const { code, stdout, stderr } = await features(...words, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('features heads', () => {
  test('the hand-written heads score 1 as what they were written to be, with chance beside', async () => {
    const { kind, version, data, heads } = await json('heads', '--model', HANDWRITTEN, '--examples', '8');
    expect([kind, version]).toEqual(['head_scores', 1]);
    expect(data).toEqual({ seed: 0, examples: 8, half: null, bos: 0 });
    const [previous, induction] = heads;
    expect(previous).toMatchObject({ layer: 0, head: 0, previousToken: { estimate: { value: 1, n: 8 } } });
    expect(induction).toMatchObject({ layer: 1, head: 0, induction: { estimate: { value: 1, n: 8 } } });
    expect(induction.previousToken.estimate.value).toBeLessThan(0.01);
    // Queries 8 to 14 of a prompt of BOS and twice seven tokens see 9 to 15 keys.
    const chance = [9, 10, 11, 12, 13, 14, 15].reduce((sum, keys) => sum + 1 / keys / 7, 0);
    expect(induction.induction.chance).toBeCloseTo(chance, 12);
  });

  test('--sort puts the best first', async () => {
    const model = ['--model', 'zoo:induction-attn-2l/seed-0', '--examples', '8'];
    for (const [sort, key] of [
      ['previous-token', 'previousToken'],
      ['induction', 'induction'],
    ] as const) {
      const { heads } = await json('heads', ...model, '--sort', sort);
      const scores: number[] = heads.map(
        (head: Record<string, { estimate: { value: number } }>) => head[key]?.estimate.value,
      );
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      expect(scores[0]).toBeGreaterThan(0.5);
    }
  });

  test('the same seed gives the same bytes, another seed other data', async () => {
    const run = (seed: string) =>
      features('heads', '--model', 'zoo:induction-attn-2l/seed-1', '--examples', '4', '--seed', seed, '--json');
    const [a, b, c] = [await run('1'), await run('1'), await run('2')];
    expect(a.stdout).toBe(b.stdout);
    expect(a.stdout).not.toBe(c.stdout);
  });

  test('text has a row for each head and one for even attention', async () => {
    const { code, stdout } = await features('heads', '--model', HANDWRITTEN);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^0\.0 +1\.00 +0\.00 +0\.00$/m);
    expect(stdout).toMatch(/^even attention +0\.09 +0\.09 +0\.09$/m);
  });

  test('a half that the context has no room for is one line', async () => {
    const { code, stderr } = await features('heads', '--model', HANDWRITTEN, '--half', '20');
    expect([code, stderr]).toEqual([1, 'circuitscope: Half a prompt has 2 to 11 tokens in a context of 24; got 20.\n']);
  });
});

describe('features project', () => {
  const project = (...words: string[]) => ['project', '--model', HANDWRITTEN, ...words];
  const before3 = project('--site', SITE, '--property', 'previous=3', '--pairs', '50');

  test('the token before is a direction where 0.0 wrote it, and the output rests on it', async () => {
    const { kind, finding, projections } = await json(...before3, '--tokens', '[[0,1,2,3,4,3]]');
    expect(kind).toBe('feature_projection');
    expect(finding.auroc.value).toBe(1);
    expect(finding.bestCoordinate).toMatchObject({ auroc: { value: 1 } });
    expect(finding.effect.before).toBeCloseTo(5, 4);
    expect(finding.effect.after).toBeLessThan(1);
    for (const { count, p } of finding.effect.random) expect([count, p]).toEqual([100, 1 / 101]);
    // Only the token 4 stands behind a 3.
    const [values] = projections.values;
    expect(values[4]).toBeGreaterThan(0.9);
    for (const at of [0, 1, 2, 3, 5]) expect(values[at]).toBeLessThan(0.1);
  });

  test('a direction that was kept and read again projects the same', async () => {
    const out = join(folder, 'before3.safetensors');
    const found = await json(...before3, '--tokens', '[1,2,3,4]', '--out', 'before3.safetensors');
    expect(found.out).toBe(out);
    expect(readdirSync(folder)).toEqual(['before3.safetensors']);
    const again = await json(...project('--direction', out, '--tokens', '[1,2,3,4]'));
    expect(again).toMatchObject({ site: SITE, finding: null, direction: { property: 'the token before is 3' } });
    const [values] = again.projections.values;
    expect(values).toHaveLength(4);
    for (const at of [0, 1, 2, 3]) expect(values[at]).toBeCloseTo(found.projections.values[0][at], 6);
  });

  test('a file that exists is not overwritten without --force', async () => {
    const out = join(folder, 'd.safetensors');
    writeSafetensors(out, [{ name: 'other', dtype: 'f32', shape: [1], data: Float32Array.of(1) }]);
    const before = readFileSync(out);
    const refused = await features(...before3, '--out', 'd.safetensors');
    expect(refused).toMatchObject({
      code: 1,
      stderr: 'circuitscope: d.safetensors exists; add --force to overwrite it, or choose another name.\n',
    });
    expect(readFileSync(out)).toEqual(before);
    expect(await features(...before3, '--out', 'd.safetensors', '--force')).toMatchObject({ code: 0 });
    expect(readFileSync(out)).not.toEqual(before);
  });

  test('a property that the site does not hold is said, not measured', async () => {
    const { code, stderr } = await features(...project('--site', SITE, '--property', 'repeated'));
    expect(code).toBe(1);
    expect(stderr).toContain('The class means are equal here');
  });

  const write = (name: string, shape: number[], data: Float32Array) =>
    writeSafetensors(join(folder, `${name}.safetensors`), [
      { name: name === 'unnamed' ? 'x' : 'direction', dtype: 'f32', shape, data },
    ]);

  test.each([
    ['no direction at all', ['--site', SITE], 'either --property previous=ID (or repeated), or --direction'],
    ['two directions', ['--property', 'repeated', '--direction', 'x'], 'either --property'],
    ['a property that is none', ['--property', 'nearby'], '--property must be previous=ID or repeated, not "nearby"'],
    ['a property without site', ['--property', 'repeated'], 'Say where: --site SITE'],
    [
      'a site that is not there',
      ['--site', 'blocks.0.hook_resid_pots', '--property', 'repeated'],
      'the nearest are blocks.0.hook_resid_post',
    ],
    [
      'a site with heads',
      ['--site', 'blocks.0.attn.hook_z', '--property', 'repeated'],
      'does not hold one vector per position',
    ],
    ['a token outside the vocabulary', ['--site', SITE, '--property', 'previous=8'], 'The token 8 of the property'],
    [
      'a prompt outside the vocabulary',
      ['--site', SITE, '--property', 'previous=3', '--tokens', '[[9]]'],
      'The token 9 is not in the vocabulary of 8',
    ],
    ['a stored direction without prompt', ['--direction', 'zero.safetensors'], 'add --tokens'],
    [
      'a direction without length',
      ['--direction', 'zero.safetensors', '--site', SITE, '--tokens', '[[1]]'],
      'should have a finite length above zero',
    ],
    [
      'a direction of another width',
      ['--direction', 'narrow.safetensors', '--site', SITE, '--tokens', '[[1]]'],
      'a direction of length 2, but blocks.0.hook_resid_post has vectors of 40',
    ],
    [
      'a file without direction',
      ['--direction', 'unnamed.safetensors', '--site', SITE, '--tokens', '[[1]]'],
      'should have a tensor named direction, but has x',
    ],
    [
      'keeping what is kept',
      ['--direction', 'zero.safetensors', '--tokens', '[[1]]', '--out', 'y'],
      'a stored one is kept already',
    ],
  ])('%s: one line', async (_, words, message) => {
    write('zero', [40], new Float32Array(40));
    write('narrow', [2], Float32Array.of(1, 2));
    write('unnamed', [40], new Float32Array(40).fill(1));
    const { code, stdout, stderr } = await features(...project(...words));
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(existsSync(join(folder, 'y'))).toBe(false);
  });
});

describe.skipIf(!sharedFolder)(`on recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test.each([
    'golden/models/gpt2',
    'golden/models/llama',
    'golden/models/llama-bias-headdim',
    'data/lm/stories260K/stories260K.bin',
  ])('%s: every head is scored, and a direction is found in its stream', async (path) => {
    const model = sharedPath(path);
    const { heads } = await json('heads', '--model', model, '--examples', '4');
    expect(heads.length).toBeGreaterThan(7);
    for (const { induction } of heads) expect(induction.estimate.value).toBeGreaterThan(0);
    const { finding } = await json(
      'project',
      '--model',
      model,
      '--site',
      SITE,
      '--property',
      'previous=7',
      '--pairs',
      '20',
    );
    expect(finding.vector.length).toBeGreaterThan(31);
    expect(Math.hypot(...finding.vector)).toBeCloseTo(1, 5);
    expect(finding.effect.change.n).toBe(32);
  });
});
