import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const algorithm = (model: string, ...words: string[]) =>
  circuitscope(['circuit', 'algorithm', '--model', `zoo:${model}`, '--pairs', '16', '--examples', '16', ...words], {
    cwd: folder,
  });

async function json(model: string, ...words: string[]) {
  const { code, stdout, stderr } = await algorithm(model, ...words, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

async function mistake(model: string, ...words: string[]) {
  const { code, stdout, stderr } = await algorithm(model, ...words);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
  return stderr;
}

function write(value: unknown): string {
  writeFileSync(join(folder, 'places.json'), JSON.stringify(value));
  return 'places.json';
}

describe('circuit algorithm', () => {
  test('a compiled program: all figures of the true alignment are 1', async () => {
    const found = await json('rasp-reverse');
    expect([found.kind, found.version, found.program.output]).toEqual(['algorithm_check', 1, 'reversed']);
    const figures = found.interchange.map(
      (one: { variables: string[]; changing: { value: number; n: number } | null }) => [
        one.variables.join(),
        one.changing?.value ?? null,
        one.changing?.n ?? 0,
      ],
    );
    expect(figures).toEqual([
      ['tokens', 1, 12],
      // Positions are the same in every prompt, so exchanging them changes nothing.
      ['indices', null, 0],
      ['length', 1, 12],
      ['places_left', 1, 12],
      ['opposite', 1, 12],
      ['reversed', 1, 12],
    ]);
    expect(found.scrubbing.recovered.value).toBe(1);
    for (const { recovered } of found.scrubbing.nulls) expect(recovered.value).toBeLessThan(0.9);
  });

  test('the same, as text', async () => {
    const { code, stdout } = await algorithm('rasp-hist', '--nulls', '1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^hist +12 +1\.000 \[0\.\d+, 1\.000\] +4 +1\.000/m);
    expect(stdout).toMatch(/^Scrubbed: 1\.000 of what the model does is left$/m);
  });

  test('an alignment in a file is taken as it says, right or wrong; without the output it is not scrubbed', async () => {
    const wrong = { length: { site: 'blocks.1.hook_mlp_out', units: [12, 17] } };
    const found = await json('rasp-reverse', '--alignment', write(wrong));
    expect([found.interchange[0].changing.value, found.interchange[0].unchanging.value]).toEqual([0, 1]);
    expect(found.scrubbing).toBe(null);
    expect((await algorithm('rasp-reverse', '--alignment', 'places.json')).stdout).toContain(
      'Not scrubbed: the alignment has no place for the output, reversed.',
    );
  });

  test('variables joined by + are exchanged together', async () => {
    const found = await json('rasp-sort-unique', '--variables', 'tokens+target_pos,sorted', '--nulls', '0');
    expect(found.interchange.map(({ variables }: { variables: string[] }) => variables)).toEqual([
      ['tokens', 'target_pos'],
      ['sorted'],
    ]);
  });

  test('mistakes are one line that says what to do', async () => {
    expect(await mistake('linear-blocks')).toContain('has no program to be compared with; choose a model of the zoo');
    expect(await mistake('induction-attn-2l/seed-0')).toContain('give --alignment heads, or --alignment FILE.json');
    expect(await mistake('rasp-hist', '--alignment', 'heads')).toContain('its program has tokens, indices, hist');
    expect(await mistake('rasp-hist', '--alignment', 'none.json')).toContain('none.json');
    expect(await mistake('rasp-hist', '--variables', 'nix')).toContain('says nothing of nix');
    expect(await mistake('rasp-hist', '--alignment', write({ hist: { site: 'hook_embed', units: [3, 1] } }))).toContain(
      'at hist.units, a range of units is [first, one after the last]',
    );
    expect(await mistake('rasp-hist', '--alignment', write({ his: { site: 'hook_embed' } }))).toContain(
      'no variable his',
    );
    expect(await mistake('rasp-hist', '--alignment', write({ hist: { site: 'hook_embd' } }))).toContain('hook_embed');
    expect(await mistake('rasp-hist', '--loss', 'squared')).toContain('squared');
  });
});
