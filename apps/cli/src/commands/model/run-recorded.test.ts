import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '@circuitscope/core/architectures';
import { readSafetensorsHeader, readStoredFloat64, type StoredTensor } from '@circuitscope/core/checkpoints';
import { findSite, type Graph } from '@circuitscope/core/graph';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

// Every recorded model: each of its runs is one command, and what the command writes is compared
// with what its authors' library computes.

interface RecordedRun {
  readonly file: string;
  readonly tokens: number[][];
  readonly attention_mask?: number[][];
  readonly position_ids?: number[][];
  readonly decoder_input_ids?: number[][];
  readonly token_type_ids?: number[][];
}

interface Case {
  readonly runs?: readonly RecordedRun[];
  readonly tolerance: { readonly float32: number };
}

const cases = sharedFolder ? readdirSync(sharedPath('golden/models')).sort() : [];

describe.skipIf(!sharedFolder)(
  `recorded models, one command each${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`,
  () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'circuitscope-recorded-'));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test('the cases that must be here are', () => {
      const kinds = ['gpt2', 'mixtral', 'gemma3', 'bert', 'distilbert', 't5', 't5-gated', 'resnet-basic', 'vgg'];
      expect(cases).toEqual(expect.arrayContaining(kinds));
      expect(cases.length).toBeGreaterThan(36);
    });

    test.each(cases)('%s', async (name) => {
      const path = sharedPath('golden/models', name);
      const { runs, tolerance } = JSON.parse(readFileSync(join(path, 'case.json'), 'utf8')) as Case;
      const images = join(path, 'expected.safetensors');
      const inputs = runs
        ? runs.map((run) => ({ file: run.file, words: wordsOf(run), run }))
        : [{ file: 'expected.safetensors', words: ['--images', images], run: null }];
      for (const { file, words, run } of inputs) {
        const out = join(folder, `${name}-${file}`);
        const done = await circuitscope(['model', 'run', '--model', path, ...words, '--capture', 'all', '--out', out]);
        expect(done.stderr).toBe('');
        expect(done.code).toBe(0);
        const wish = tensorsOf(join(path, file));
        const got = tensorsOf(out);
        const { graph } = loadModel(path, run ? {} : { size: sizeOf(wish) });
        const sites = [...wish.keys()].filter((site) => !/^grad\/|^loss$|^logit_diff$|^images$/.test(site));
        for (const site of sites) {
          const [expected, found] = [wish.get(site), got.get(site)];
          if (!expected || !found) throw new Error(`${name} does not write ${site}`);
          // OPT's MLP and Mixtral's router see the tokens of a batch as one list, and are recorded so.
          const flat = expected.shape.length === found.shape.length - 1 && expected.shape.at(-1) === found.shape.at(-1);
          expect(flat ? elementsOf(found) : found.shape, site).toEqual(flat ? elementsOf(expected) : expected.shape);
          const hidden = paddingOf(graph, site, run);
          expect(largestError(found, expected, hidden), `${file} ${site}`).toBeLessThan(tolerance.float32);
        }
        expect(sites.length).toBeGreaterThan(4);
      }
    });

    test('what a model reads is refused where it does not fit, in one line', async () => {
      const out = join(folder, 'refused.safetensors');
      const run = (name: string, ...words: string[]) =>
        circuitscope([
          'model',
          'run',
          '--model',
          sharedPath('golden/models', name),
          ...words,
          '--capture',
          'logits',
          '--out',
          out,
        ]);
      const refused = async (words: Promise<{ code: number; stderr: string }>, why: RegExp) => {
        const { code, stderr } = await words;
        expect(code).toBe(1);
        expect(stderr).toMatch(why);
        expect(stderr.trim().split('\n')).toHaveLength(1);
      };
      await refused(run('t5', '--tokens', '[[1,2]]'), /decoderTokens/);
      await refused(run('gpt2', '--tokens', '[[1,2]]', '--decoder-tokens', '[[0]]'), /one text/);
      await refused(run('distilbert', '--tokens', '[[1,2]]', '--token-type-ids', '[[0,1]]'), /tells no segments apart/);
      await refused(run('bert', '--tokens', '[[1,2]]', '--token-type-ids', '[[0,2]]'), /segment 2/);
      await refused(run('bert', '--tokens', '[[1,2]]', '--position-ids', '[[0,32]]'), /context of 32/);
      await refused(run('t5', '--tokens', '[[1]]', '--decoder-tokens', '[[97]]'), /vocabulary of 97/);
      await refused(run('resnet-basic', '--tokens', '[[1,2]]'), /looks at images/);
      const images = sharedPath('golden/models/vgg/expected.safetensors');
      await refused(run('gpt2', '--images', images), /reads tokens/);
      await refused(run('vgg', '--images', images, '--mask', '[[1]]'), /--mask is of texts/);
      await refused(
        run('vgg', '--images', sharedPath('golden/models/vgg/model.safetensors')),
        /no tensor named images/,
      );
      writeFileSync(join(folder, 'cut.npy'), 'NUMPY');
      await refused(run('vgg', '--images', join(folder, 'cut.npy')), /npy/);
      expect(existsSync(out)).toBe(false);
    });

    test('the size of images, where a checkpoint does not say it, is an option', async () => {
      const path = sharedPath('golden/models/vgg');
      const { sizes } = JSON.parse(
        (await circuitscope(['model', 'inspect', path, '--size', '24x24', '--json'])).stdout,
      );
      expect(sizes).toMatchObject({ channels: 3, height: 24, width: 24 });
      expect((await circuitscope(['model', 'sites', path, '--size', '24x24'])).code).toBe(0);
      const wrong = await circuitscope(['model', 'sites', path, '--size', '24']);
      expect(wrong.code).toBe(1);
      expect(wrong.stderr).toMatch(/224x224/);
    });

    test.each(['bert', 't5', 'resnet-basic'])('%s: inspect and sites say what it is', async (name) => {
      const path = sharedPath('golden/models', name);
      const text = await circuitscope(['model', 'inspect', path]);
      expect(text.code).toBe(0);
      const { stdout } = await circuitscope(['model', 'inspect', path, '--json']);
      const { modelKind, sizes } = JSON.parse(stdout);
      expect({ modelKind, sizes }).toMatchObject(
        {
          bert: { modelKind: 'encoder', sizes: { layers: 2, heads: 4, tokenTypes: 2, context: 32 } },
          t5: { modelKind: 'encoder_decoder', sizes: { layers: 2, decoderLayers: 2, headWidth: 8 } },
          'resnet-basic': { modelKind: 'convnet', sizes: { channels: 3 } },
        }[name] ?? {},
      );
      const listed = JSON.parse((await circuitscope(['model', 'sites', path, '--json'])).stdout).sites;
      for (const { site, meaning } of listed) expect(meaning, site).not.toBe('');
      const requested = listed.filter((entry: { onRequest: boolean }) => entry.onRequest);
      expect(requested.length).toBe({ bert: 2 * 5 + 1, t5: 2 * 5 + 2 * 9 + 1, 'resnet-basic': 0 }[name]);
    });
  },
);

function wordsOf(run: RecordedRun): string[] {
  const given = {
    tokens: run.tokens,
    mask: run.attention_mask,
    'decoder-tokens': run.decoder_input_ids,
    'token-type-ids': run.token_type_ids,
    'position-ids': run.position_ids,
  };
  return Object.entries(given).flatMap(([name, value]) => (value ? [`--${name}`, JSON.stringify(value)] : []));
}

function tensorsOf(path: string): ReadonlyMap<string, StoredTensor> {
  return new Map(readSafetensorsHeader(path).tensors.map((tensor) => [tensor.name, tensor]));
}

function sizeOf(tensors: ReadonlyMap<string, StoredTensor>): readonly [number, number] {
  const [, , height = 0, width = 0] = tensors.get('images')?.shape ?? [];
  return [height, width];
}

/** Whether a place is a padded query, where the records hold zeros that mean nothing. */
function paddingOf(graph: Graph, site: string, run: RecordedRun | null): (place: readonly number[]) => boolean {
  const mask = run?.attention_mask;
  if (!mask) return () => false;
  const { shape } = findSite(graph, site);
  const axis = shape.length === 4 && typeof shape[1] === 'number' ? 2 : 1;
  // An encoder-decoder's mask is of the encoder's text.
  const padded = run.decoder_input_ids ? 'source' : 'pos';
  return (place) => shape[axis] === padded && mask[place[0] ?? 0]?.[place[axis] ?? 0] === 0;
}

function largestError(
  got: StoredTensor,
  expected: StoredTensor,
  hidden: (place: readonly number[]) => boolean,
): number {
  const [a, b] = [readStoredFloat64(got), readStoredFloat64(expected)];
  let [error, largest] = [0, 0];
  const place = new Array<number>(expected.shape.length).fill(0);
  for (let at = 0; at < b.length; at++) {
    let rest = at;
    for (let axis = place.length - 1; axis >= 0; axis--) {
      place[axis] = rest % (expected.shape[axis] ?? 1);
      rest = Math.floor(rest / (expected.shape[axis] ?? 1));
    }
    const [x = 0, y = 0] = [a[at], b[at]];
    if (x === y || hidden(place)) continue;
    if (!Number.isFinite(y - x)) throw new CircuitscopeError('bad_value', `${x} in place of ${y} at ${place.join()}`);
    largest = Math.max(largest, Math.abs(y));
    error = Math.max(error, Math.abs(x - y));
  }
  return largest === 0 ? error : error / largest;
}

const elementsOf = ({ shape }: StoredTensor): number => shape.reduce((a, b) => a * b, 1);
