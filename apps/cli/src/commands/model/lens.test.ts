import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensorsHeader, readStoredFloat64 } from '@circuitscope/core/checkpoints';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!sharedFolder)(`reading the stream${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const stories = sharedPath('data/lm/stories260K/stories260K.bin');
  const text = ['--text', 'Once upon a time, there was a little'];
  const model = (verb: string, ...words: string[]) =>
    circuitscope(['model', verb, '--model', stories, ...words], { cwd: folder });
  const json = async (verb: string, ...words: string[]) => {
    const { code, stdout, stderr } = await model(verb, ...words, '--json');
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout);
  };

  test('a run says where each token of its text lies, by whichever tokenizer read it', async () => {
    const words = ['--tokenizer', sharedPath('golden/tokenizers/wordpiece-uncased/tokenizer.json')];
    const line = ['--capture', 'logits', '--out', 'read.safetensors', '--force'];
    const { tokens, offsets } = await json('run', '--text', 'The wåves.', ...words, ...line);
    expect(tokens[0]).toHaveLength(offsets.length);
    expect([offsets[0], offsets[1], offsets.at(-1)]).toEqual([[0, 0], [0, 3], [0, 0]]); // biome-ignore format: a row
    expect(
      offsets
        .slice(1, -1)
        .map(([start, end]: [number, number]) => 'The wåves.'.slice(start, end))
        .join(''),
    ).toBe('Thewåves.');
    const given = await json('run', '--tokens', '[[1,2]]', ...line);
    expect([given.tokens, given.offsets]).toEqual([[[1, 2]], null]);
  });

  test('the lens ends with what the model says, and follows the next token of the prompt', async () => {
    const { rows, tokens, offsets } = await json('lens', ...text, '--positions', 'all', '--top-k', '3');
    // BOS lies nowhere; the others fill the text.
    expect(offsets).toHaveLength(tokens[0].length);
    expect([offsets[0], offsets[1][0], offsets.at(-1)[1]]).toEqual([[0, 0], 0, text[1]?.length]);
    expect(rows).toHaveLength(6 * tokens[0].length);
    const last = rows.filter((row: { stream: string }) => row.stream === 'final_post');
    for (const [position, { klToFinal, top, token }] of last.entries()) {
      expect(klToFinal).toBe(0);
      expect(top).toHaveLength(3);
      expect(token?.id).toBe(tokens[0][position + 1]);
      if (token?.rank === 0) expect(top[0].id).toBe(token.id);
    }
    expect(last.at(-1).token).toBeNull();
    const { stdout } = await model('lens', ...text);
    expect(stdout).toMatch(/^example 0, position 9$/m);
    expect(stdout).toMatch(/^final_post +␣g /m);
  });

  test('rows are written as a table and as tensors', async () => {
    const { rows } = await json('lens', ...text, '--token', 'little', '--top-k', '2', '--out', 'lens.csv');
    const lines = readFileSync(join(folder, 'lens.csv'), 'utf8').trimEnd().split('\r\n');
    expect(lines).toHaveLength(1 + 2 * rows.length);
    expect(Number(lines[1]?.split(',')[3])).toBe(rows[0].entropy);
    await json('lens', ...text, '--out', 'lens.safetensors');
    const files = new Map(
      readSafetensorsHeader(join(folder, 'lens.safetensors')).tensors.map((one) => [one.name, one]),
    );
    expect(files.get('top_k.ids')?.shape).toEqual([6, 1, 1, 5]);
    const entropy = files.get('entropy');
    expect([...(entropy ? readStoredFloat64(entropy) : [])]).toEqual(
      rows.map((row: { entropy: number }) => row.entropy),
    );
    expect((await model('lens', ...text, '--out', 'lens.txt')).stderr).toContain('.csv or .safetensors');
  });

  test('parts add up to the logit difference, in both views', async () => {
    for (const view of ['raw', 'folded']) {
      const words = [...text, '--answer', '300', '--wrong', '301', '--view', view];
      const { parts, sum, logit } = await json(
        'attribute',
        ...words,
        '--neurons',
        '4',
        '--out',
        'parts.csv',
        '--force',
      );
      expect(sum[0]).toBeCloseTo(logit[0], 4);
      const total = parts.reduce((all: number, { values }: { values: number[] }) => all + (values[0] ?? 0), 0);
      expect(total).toBeCloseTo(sum[0], 9);
      expect(parts.filter(({ label }: { label: string }) => label.startsWith('L4N'))).toHaveLength(172);
      expect(readFileSync(join(folder, 'parts.csv'), 'utf8').split('\r\n')).toHaveLength(parts.length + 2);
    }
    const { stdout } = await model('attribute', ...text, '--answer', '300', '--wrong', '301', '--top', '3');
    expect(stdout).toMatch(/^part +logit difference$/m);
    expect(stdout).toMatch(/^\d+ others/m);
  });

  test('mistakes are one line', async () => {
    for (const [verb, words] of [
      ['attribute', [...text, '--answer', 'two words here']],
      ['attribute', [...text, '--answer', '512']],
      ['attribute', [...text, '--answer', '1', '--neurons', 'x']],
      ['lens', [...text, '--positions', 'first']],
      ['lens', [...text, '--positions', '99']],
      ['lens', []],
    ] as const) {
      const { code, stdout, stderr } = await model(verb, ...words);
      expect([code, stdout], stderr).toEqual([1, '']);
      expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
    }
  });
});
