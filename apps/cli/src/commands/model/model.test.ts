import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { engineFor, loadModel } from '@circuitscope/core/architectures';
import { readSafetensorsHeader, readStored, readStoredFloat64 } from '@circuitscope/core/checkpoints';
import { describeSite, listSites } from '@circuitscope/core/graph';
import { captured, chooseExecutor, makePlan, runPlan } from '@circuitscope/core/plan';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';
import { readEntries } from './read-entries.ts';
import { writeReadouts } from './write-readouts.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

interface Case {
  readonly runs: readonly {
    readonly file: string;
    readonly tokens: number[][];
    readonly attention_mask?: number[][];
  }[];
  readonly tolerance: { readonly float32: number };
}

describe.skipIf(!sharedFolder)(`model${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const gpt2 = sharedPath('golden/models/gpt2');
  const stories = sharedPath('data/lm/stories260K/stories260K.bin');
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const out = () => join(folder, 'out.safetensors');
  const open = (path: string) => new Map(readSafetensorsHeader(path).tensors.map((tensor) => [tensor.name, tensor]));
  const run = (...words: string[]) => circuitscope(['model', 'run', '--model', gpt2, ...words], { cwd: folder });

  test('inspect says what a checkpoint is, as text without control characters and as JSON', async () => {
    const text = await circuitscope(['model', 'inspect', stories, '--tensors']);
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/^parameters +260 032 \(f32, 1\.06 MB in 49 tensors\)$/m);
    expect(text.stdout).toMatch(/^wq\.0…4 +f32 +\[64, 64\]/m);
    expect(text.stdout).not.toMatch(controls);
    const { stdout } = await circuitscope(['model', 'inspect', stories, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'model_inspection',
      model: {
        architecture: 'llama2c',
        parameters: 260_032,
        dtype: 'f32',
        contentHash: expect.stringMatching(/^sha256:/),
      },
      sizes: { layers: 5, heads: 8, kvHeads: 4, vocab: 512, context: 512 },
    });
  });

  test('convert writes a directory that opens as the same model, and never over one that exists', async () => {
    const words = ['model', 'convert', '--model', stories, '--out', 'converted'];
    const { code, stdout } = await circuitscope([...words, '--json'], { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'model_conversion',
      from: { format: 'llama2c' },
      files: ['config.json', 'model.safetensors'],
    });
    const text = (await circuitscope(['model', 'inspect', join(folder, 'converted')])).stdout;
    expect(text).toMatch(/^format +huggingface, 2 files; tensors: 47 f32$/m);
    expect((await circuitscope(words, { cwd: folder })).stderr).toMatch(/converted exists/);
    const gguf = sharedPath('golden/formats/gguf/gpt2-q8_0.gguf');
    expect((await circuitscope(['model', 'inspect', gguf])).stdout).toMatch(/^format +gguf.*q8_0.*in memory$/m);
  });

  test('sites lists every site of the graph with shape and meaning, and every weight', async () => {
    const model = loadModel(gpt2);
    const { stdout } = await circuitscope(['model', 'sites', gpt2, '--json']);
    const { sites, weights } = JSON.parse(stdout);
    const computed = sites
      .filter((entry: { onRequest: boolean }) => !entry.onRequest)
      .map((entry: { site: string }) => entry.site);
    expect(computed).toEqual(listSites(model.graph).map(({ site }) => site));
    expect(sites).toContainEqual({
      site: 'blocks.1.attn.hook_pattern',
      shape: ['batch', 4, 'pos', 'key'],
      meaning: describeSite('blocks.1.attn.hook_pattern'),
      onRequest: false,
    });
    for (const { site, meaning } of sites) expect(meaning, site).not.toBe('');
    expect(weights).toContainEqual({ name: 'unembed.W_U', shape: [32, 97] });
    const text = await circuitscope(['model', 'sites', gpt2]);
    expect(text.stdout).toMatch(/^blocks\.0…1\.attn\.hook_z +\[batch, pos, 4, 8\]/m);
    expect(text.stdout).not.toMatch(controls);
  });

  test('every site on request that is listed can be captured', async () => {
    const { sites } = JSON.parse((await circuitscope(['model', 'sites', gpt2, '--json'])).stdout);
    const names = sites
      .filter((entry: { onRequest: boolean }) => entry.onRequest)
      .map((entry: { site: string }) => entry.site);
    expect((await run('--tokens', '[[1,2,3]]', '--capture', names.join(','), '--out', out())).stderr).toBe('');
    const files = open(out());
    for (const { site, shape, onRequest } of sites) {
      if (onRequest)
        expect(files.get(site)?.shape, site).toEqual(
          shape.map((dim: number | string) => (dim === 'batch' ? 1 : dim === 'pos' ? 3 : dim)),
        );
    }
  });

  test('run writes what a direct plan gives, to the bit, and the recorded values within their tolerance', async () => {
    const { runs, tolerance } = JSON.parse(readFileSync(join(gpt2, 'case.json'), 'utf8')) as Case;
    const model = loadModel(gpt2);
    const engine = engineFor(model, (await chooseExecutor()).executor);
    for (const { file, tokens, attention_mask: mask } of runs) {
      const words = [
        '--tokens',
        JSON.stringify(tokens),
        ...(mask ? ['--mask', JSON.stringify(mask)] : []),
        '--capture',
        'all',
        '--out',
        out(),
        '--force',
        '--json',
      ];
      const { code, stdout, stderr } = await run(...words);
      expect([code, stderr]).toEqual([0, '']);
      const written = open(out());
      const sites = listSites(model.graph).map(({ site }) => site);
      expect([...written.keys()].sort()).toEqual([...sites].sort());
      expect(JSON.parse(stdout).tensors).toHaveLength(sites.length);
      const plan = makePlan(model.graph, {
        readouts: sites.map((site) => ({ kind: 'capture' as const, at: { site } })),
      });
      const direct = await runPlan(engine, plan, mask ? { tokens, mask } : { tokens });
      const recorded = open(join(gpt2, file));
      let compared = 0;
      for (const site of sites) {
        const stored = written.get(site)!;
        const values = readStored(stored);
        expect(stored.shape).toEqual(captured(direct, site).shape);
        expect(
          Buffer.from(values.buffer).equals(Buffer.from(Float32Array.from(captured(direct, site).data).buffer)),
          site,
        ).toBe(true);
        const expected = recorded.get(site);
        if (!expected || mask) continue; // padded queries hold values that mean nothing
        const golden = readStoredFloat64(expected);
        const largest = golden.reduce(
          (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
          0,
        );
        values.forEach((value, at) => {
          const wanted = golden[at]!;
          if (value !== wanted) expect(Math.abs(value - wanted), site).toBeLessThan(tolerance.float32 * largest);
        });
        compared += 1;
      }
      if (!mask) expect(compared).toBeGreaterThan(35);
    }
  });

  test('run in groups writes the same file as run at once', async () => {
    const model = loadModel(gpt2);
    const engine = engineFor(model, (await chooseExecutor()).executor);
    const plan = makePlan(model.graph, {
      readouts: listSites(model.graph).map(({ site }) => ({ kind: 'capture' as const, at: { site } })),
    });
    const common = { engine, plan, prompt: { tokens: [[1, 2, 3, 4]] }, settings: {}, onProgress: () => {} };
    const [whole, grouped] = [join(folder, 'whole.safetensors'), join(folder, 'grouped.safetensors')];
    await writeReadouts({ ...common, out: whole });
    await writeReadouts({ ...common, out: grouped, bytesAtOnce: 2000 });
    expect(readFileSync(grouped).equals(readFileSync(whole))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['grouped.safetensors', 'whole.safetensors']);
  });

  test('run applies a plan, and names what is no site', async () => {
    const model = loadModel(gpt2);
    const plan = makePlan(model.graph, {
      interventions: [
        {
          kind: 'write',
          at: { site: 'blocks.0.attn.hook_z', head: [1] },
          op: 'scale',
          value: { kind: 'const', value: 0 },
        },
      ],
      readouts: [
        { kind: 'topK', at: { kind: 'last' }, k: 3 },
        { kind: 'loss' },
        { kind: 'capture', at: { site: 'logits' } },
        { kind: 'capture', at: { site: 'logits', at: { kind: 'last' } } },
      ],
    });
    writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan));
    const { code, stderr } = await run(
      '--tokens',
      '[1,2,3]',
      '--plan',
      'plan.json',
      '--capture',
      'blocks.0.attn.hook_z',
      '--out',
      'out.safetensors',
    );
    expect([code, stderr]).toEqual([0, '']);
    const written = open(out());
    expect([...written.keys()].sort()).toEqual([
      'blocks.0.attn.hook_z',
      'logits',
      'logits#3',
      'loss',
      'top_k.indices',
      'top_k.values',
    ]);
    const z = readStored(written.get('blocks.0.attn.hook_z')!);
    expect(z.subarray(8, 16).every((value) => value === 0)).toBe(true);
    expect(z.subarray(0, 8).some((value) => value !== 0)).toBe(true);
    const last = readStored(written.get('logits#3')!);
    const best = last.reduce((most, value, at) => (value > last[most]! ? at : most), 0);
    const indices = readEntries(written.get('top_k.indices')!);
    expect(indices).toBeInstanceOf(Int32Array);
    expect(indices[0]).toBe(best);
  });

  test('run never overwrites unless told to, and a run that fails leaves nothing behind', async () => {
    writeFileSync(out(), 'mine');
    const words = ['--tokens', '[[1,2,3]]', '--capture', 'logits', '--out', out()];
    expect(await run(...words)).toMatchObject({ code: 1, stderr: expect.stringContaining('--force') });
    expect(readFileSync(out(), 'utf8')).toBe('mine');
    expect((await run(...words, '--force')).code).toBe(0);
    rmSync(out());
    const mistakes = [
      ['--tokens', '[[1,2,3]]', '--capture', 'blocks.0.hook_zz'],
      ['--tokens', '[[1,2],[3]]', '--capture', 'all'],
      ['--tokens', '[[1,97]]', '--capture', 'all'],
      ['--tokens', '[[1,2]]'],
      ['--capture', 'all'],
      ['--tokens', '[[1,2]]', '--text', 'x', '--capture', 'all'],
      ['--text', 'x', '--capture', 'all'],
      ['--tokens', '[[1,2]]', '--mask', '[[1]]', '--capture', 'all'],
      ['--tokens', '[[1,2]]', '--plan', 'nowhere.json'],
      ['--tokens', '[[1.5]]', '--capture', 'all'],
      ['--tokens', '[]', '--capture', 'all'],
    ];
    for (const mistake of mistakes) {
      const { code, stdout, stderr } = await run(...mistake, '--out', out());
      expect([code, stdout], mistake.join(' ')).toEqual([1, '']);
      expect(stderr, mistake.join(' ')).toMatch(/^circuitscope: [^\n]+\n$/);
    }
    expect(
      (await run('--tokens', '[[1]]', '--capture', 'all', '--out', 'no/such/folder.safetensors')).stderr,
    ).toContain('make it first');
    expect(readdirSync(folder)).toEqual([]);
    expect(existsSync(out())).toBe(false);
  });

  test('generate prints the recorded greedy story to the byte', { timeout: 240_000 }, async () => {
    const { code, bytes, stderr } = await circuitscope(['model', 'generate', '--model', stories, '--steps', '200']);
    expect([code, stderr]).toEqual([0, '']);
    expect(
      Buffer.from(bytes).equals(readFileSync(sharedPath('data/lm/stories260K/expected_greedy_200_steps.txt'))),
    ).toBe(true);
  });

  test('generate continues a prompt, gives JSON, and needs no tokenizer for token ids', async () => {
    const { stdout } = await circuitscope([
      'model',
      'generate',
      '--model',
      stories,
      '--prompt',
      'Once upon',
      '--steps',
      '6',
      '--json',
    ]);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ kind: 'generation', prompt: expect.any(Array), tokens: expect.any(Array) });
    expect(document.tokens).toHaveLength(6);
    expect([document.bos, document.prompt[0]]).toEqual(['auto', 1]);
    const line = ['model', 'generate', '--model', stories, '--prompt', 'Once', '--steps', '1', '--json'];
    const bare = JSON.parse((await circuitscope([...line, '--bos', 'never'])).stdout);
    expect([bare.bos, bare.prompt[0] === 1]).toEqual(['never', false]);
    expect((await circuitscope([...line, '--bos', 'perhaps'])).stderr).toMatch(/--bos.*auto, always, never/);
    expect(document.text.startsWith('Once upon')).toBe(true);
    const plain = await circuitscope([
      'model',
      'generate',
      '--model',
      stories,
      '--prompt',
      'Once upon',
      '--steps',
      '6',
    ]);
    expect(plain.stdout).toBe(document.text);
    const words = ['model', 'generate', '--model', stories, '--prompt', 'Once upon', '--steps', '6', '--no-cache'];
    expect((await circuitscope(words)).stdout).toBe(document.text);
    const ids = await circuitscope(['model', 'generate', '--model', gpt2, '--tokens', '[[1,2,3]]', '--steps', '3']);
    expect(ids.stdout).toMatch(/^\d+ \d+ \d+$/);
  });

  test('generate takes many texts and samples, each as it would be alone, and a plan', async () => {
    interface Sample {
      readonly prompt: number;
      readonly sample: number;
      readonly text: string;
    }
    const file = join(folder, 'prompts.txt');
    writeFileSync(file, 'Once upon\nTim\n\n');
    const line = ['model', 'generate', '--model', stories, '--steps', '5'];
    const of = async (...words: string[]) => JSON.parse((await circuitscope([...line, ...words, '--json'])).stdout);
    const both = await of('--prompts', file, '--count', '2');
    expect(both.samples.map(({ prompt, sample }: Sample) => [prompt, sample])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    const [once, , tim] = both.samples;
    expect(once.tokens).toEqual((await of('--prompt', 'Once upon')).tokens);
    expect(tim.tokens).toEqual((await of('--prompt', 'Tim')).tokens);
    const lines = `${file}.jsonl`;
    writeFileSync(lines, '{"prompt": "Tim"}\n');
    expect((await of('--prompts', lines)).samples).toMatchObject([{ text: tim.text }]);
    const drawn = await of('--prompt', 'Tim', '--count', '3', '--temperature', '1', '--seed', '4');
    expect(new Set(drawn.samples.map(({ text }: Sample) => text)).size).toBeGreaterThan(1);
    const plan = `${file}.json`;
    const at = { site: 'blocks.0.hook_mlp_out' };
    const interventions = [{ kind: 'write', at, op: 'set', value: { kind: 'const', value: 0 } }];
    const readouts = [{ kind: 'capture' as const, at }];
    writeFileSync(plan, JSON.stringify({ ...makePlan(loadModel(stories).graph, { readouts }), interventions }));
    const changed = await of('--prompt', 'Tim', '--plan', plan);
    expect(changed.interventions).toEqual(interventions);
    expect(changed.tokens).not.toEqual(tim.tokens);
    const { stdout } = await circuitscope([...line, '--prompts', file]);
    expect(stdout).toBe(`── prompt 0\n${once.text}\n── prompt 1\n${tim.text}\n`);
    writeFileSync(plan, JSON.stringify({ ...makePlan(loadModel(gpt2).graph, { readouts }), interventions }));
    expect((await circuitscope([...line, '--prompt', 'Tim', '--plan', plan])).stderr).toMatch(/another model/);
    writeFileSync(lines, '{"text": "Tim"}\n');
    expect((await circuitscope([...line, '--prompts', lines])).stderr).toMatch(/prompts\.txt\.jsonl, line 1 is not/);
  });

  test('an encoder-decoder writes what its decoder says, from its start token or from what is given', async () => {
    const line = [
      'model',
      'generate',
      '--model',
      sharedPath('golden/models', 't5'),
      '--tokens',
      '[[5,9,1]]',
      '--steps',
      '5',
    ];
    const { stdout } = await circuitscope([...line, '--json']);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ prompt: [5, 9, 1], decoderPrompt: [0], text: null });
    expect(document.tokens.length).toBeGreaterThan(0);
    const [first] = document.tokens;
    expect((await circuitscope([...line, '--no-cache'])).stdout).toBe(document.tokens.join(' '));
    const later = await circuitscope([...line, '--decoder-tokens', `[[0,${first}]]`]);
    expect(
      later.stdout
        .split(' ')
        .slice(0, document.tokens.length - 1)
        .join(' '),
    ).toBe(document.tokens.slice(1).join(' '));
    for (const [words, sentence] of [
      [[...line, '--decoder-tokens', '[[0],[1]]'], /one example/],
      [['model', 'generate', '--model', gpt2, '--tokens', '[[1]]', '--decoder-tokens', '[[0]]'], /reads one text/],
      [['model', 'generate', '--model', sharedPath('golden/models', 'bert'), '--tokens', '[[1]]'], /is an encoder/],
    ] as const) {
      const { code, stderr } = await circuitscope([...words]);
      expect([code, stderr.match(/\n/g)?.length]).toEqual([1, 1]);
      expect(stderr).toMatch(sentence);
    }
  });

  test('generate refuses two ways at once, a missing tokenizer and a bad temperature', async () => {
    const generate = (...words: string[]) => circuitscope(['model', 'generate', '--model', gpt2, ...words]);
    for (const words of [
      ['--tokens', '[[1],[2]]', '--prompts', 'x.txt'],
      ['--prompts', 'nowhere.txt'],
      ['--prompt', 'x'],
      [],
      ['--tokens', '[1]', '--temperature', '-1'],
      ['--tokens', '[1]', '--prompt', 'x'],
    ]) {
      const { code, stderr } = await generate(...words);
      expect([code, stderr.match(/\n/g)?.length], words.join(' ')).toEqual([1, 1]);
    }
  });
});
