import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE, makeWorkspace, type TestWorkspace } from './make-workspace.ts';
import { type Served, serve } from './serve.ts';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let browser: Browser;
let workspace: TestWorkspace;
let served: Served;
/** Errors of all pages, and what they asked of anyone but our server. */
const complaints: string[] = [];

beforeAll(async () => {
  workspace = await makeWorkspace();
  served = await serve(workspace.folder);
  browser = await chromium.launch({ executablePath: process.env.CIRCUITSCOPE_CHROMIUM ?? 'chromium', args: flags });
});

afterAll(async () => {
  await browser?.close();
  await served?.stop();
  if (workspace) rmSync(workspace.folder, { recursive: true, force: true });
});

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && complaints.push(`${path}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`${path}: ${error.message}`));
  page.on(
    'request',
    (sent) => new URL(sent.url()).origin !== served.url && complaints.push(`${path}: asked ${sent.url()}`),
  );
  await page.goto(served.url + path, { waitUntil: 'networkidle' });
  return page;
}

const effect = (page: Page) => page.getByTestId('effect');
/** `1 to 0`: the metric before and after. */
const move = async (page: Page) => (await effect(page).textContent())?.replace('→', ' ').replace(/\s+/g, ' ').trim();
const circuitPath = (hash: string, query = '') => `/circuits/${hash}${query}`;

describe('the dashboard in a browser', () => {
  it('shows models beside their nulls, every one of them, and takes no name for markup', async () => {
    const page = await open('/universality');
    expect(await page.locator('h2').first().textContent()).toBe(`Twins ${HOSTILE}`);
    expect(await page.title()).toBe('Universality · Circuitscope');
    const nulls = page.getByRole('table', { name: 'Scores beside their nulls' });
    expect(await nulls.textContent()).toMatch(/functional[\s\S]*untrained[\s\S]*edges/);
    expect(await page.getByRole('row', { name: /^induction-handwritten-rotated/ }).count()).toBe(1);
    expect(await page.getByLabel('Pair').locator('option').count()).toBe(1);
    await page.context().close();
  });

  it('shows what was locked before what came of it, and who lost', async () => {
    const page = await open('/');
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Hypotheses' }).click();
    await page.waitForURL('**/hypotheses');
    const text = (await page.locator('main').textContent()) ?? '';
    expect(text).toMatch(/induction-by-fixed-offset[\s\S]*falsified[\s\S]*induction-by-token[\s\S]*corroborated/);
    expect(text).toContain('4 entries in the ledger');
    expect(await page.locator('[data-state="refuted"]').count()).toBeGreaterThan(0);
    await page.context().close();
  });

  it('draws the curves of the zoo’s trainings, and says how to check its members', async () => {
    const page = await open('/training');
    await page.getByLabel('Recipe').selectOption('induction-attn-2l');
    const curve = page.getByRole('img', { name: /^induction score over 6,000 steps; seed 0 ends at 0\.8/ });
    expect(await curve.locator('path').count()).toBe(8);
    await page.getByLabel('logarithmic').check();
    expect(await curve.locator('path').first().getAttribute('d')).toMatch(/^M0 /);
    await page.goto(`${served.url}/zoo`, { waitUntil: 'networkidle' });
    expect(await page.locator('main').textContent()).toContain('zoo check');
    await page.context().close();
  });

  it('draws the last run of benchmarks, and what is chosen in it stands in the address', async () => {
    const page = await open('/');
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Bench' }).click();
    await page.waitForURL('**/bench');
    expect(await page.title()).toBe('Bench · Circuitscope');
    const roofline = page.getByRole('figure', { name: 'Roofline of A processor' });
    const points = roofline.locator('svg[role="group"] circle:not(.ring)');
    // With two threads: ours, and the one whose name would act.
    expect(await points.count()).toBe(2);
    expect(await page.locator('main').textContent()).toContain('1 file of results could not be read');
    const hostile = page.getByRole('button', { name: HOSTILE });
    await hostile.click();
    await expect.poll(() => new URL(page.url()).searchParams.get('operation')).toBe(HOSTILE);
    expect(await roofline.locator('text.label').allTextContents()).toEqual([HOSTILE]);
    expect(await page.locator('main img, main script').count()).toBe(0);
    await roofline.getByRole('button', { name: '1 thread' }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get('threads')).toBe('1');
    await expect.poll(() => roofline.locator('circle.peer').count()).toBeGreaterThan(0);
    await roofline.getByRole('application').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await roofline.locator('.point').textContent()).toContain('sgemm-8 by circuitscope: 50 GFLOP/s');
    await page.keyboard.press('Enter');
    await expect.poll(() => new URL(page.url()).searchParams.get('operation')).toBe('sgemm-8');
    const own = page.getByRole('row', { name: /^circuitscope/ });
    expect(await own.textContent()).toMatch(/1 ms[\s\S]*50 %[\s\S]*2\.00[\s\S]*torch/);
    await page.context().close();
  });

  it('lays two runs beside each other, without times where the machines differ', async () => {
    const page = await open('/bench?threads=1&run=no-such-run&beside=../../etc/passwd');
    expect(await page.getByLabel('Run').locator('option').count()).toBe(2);
    expect(await page.getByRole('table', { name: 'Two runs beside each other' }).count()).toBe(0);
    await page.getByLabel('Beside').selectOption('workspace/older.jsonl');
    const table = page.getByRole('table', { name: 'Two runs beside each other' });
    await table.waitFor();
    expect(new URL(page.url()).searchParams.get('beside')).toBe('workspace/older.jsonl');
    expect(await table.getByRole('row').count()).toBe(3);
    expect(await table.getByRole('row', { name: /sgemm-8 circuitscope/ }).textContent()).toMatch(/25 %[\s\S]*50 %/);
    expect(await page.locator('main').textContent()).toContain('The machines differ');
    expect(await table.getByRole('columnheader', { name: 'Times faster' }).count()).toBe(0);
    await page.context().close();
  });

  it.each([
    [360, 'light'],
    [1280, 'dark'],
  ] as const)('keeps the page of benchmarks inside %i pixels', async (width, colorScheme) => {
    const path = '/bench?threads=1&beside=workspace/older.jsonl';
    const page = await open(path, { viewport: { width, height: 900 }, colorScheme });
    await page.getByRole('table', { name: 'Two runs beside each other' }).waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await page.context().close();
  });

  it('leads from the list to a circuit', async () => {
    const page = await open('/');
    expect(await page.locator('tbody tr').count()).toBe(3);
    await page.getByRole('searchbox').fill('WEIGHTS other');
    expect(await page.locator('tbody tr').count()).toBe(1);
    await page.getByRole('searchbox').fill('no such circuit');
    expect(await page.getByRole('status').textContent()).toContain('No circuit matches');
    await page.getByRole('searchbox').fill('');
    await page.getByRole('link', { name: 'Induction, written by hand', exact: true }).click();
    await page.waitForURL(`**${circuitPath(workspace.written)}`);
    expect(await page.locator('h1').textContent()).toBe('Induction, written by hand');
    expect(await page.locator('.claim').textContent()).toMatch(/^7 of 12 edges keep 100/);
    await page.context().close();
  });

  it('cuts an edge that was chosen with the keyboard, shows the metric move, and undoes it', async () => {
    const page = await open(circuitPath(workspace.written));
    await page.locator('figure [role="button"][tabindex="0"]').first().focus();
    await page.keyboard.press('e');
    const ablate = page.getByTestId('ablate');
    await expect.poll(() => ablate.textContent()).toMatch(/Ablate\s+\S+→\S+/);
    await page.keyboard.press('a');
    await expect.poll(() => move(page)).toBe('1 to 0');
    expect(new URL(page.url()).searchParams.getAll('cut')).toHaveLength(1);
    await page.keyboard.press('u');
    await expect.poll(() => effect(page).count()).toBe(0);
    await page.keyboard.press('Escape');
    await expect.poll(() => new URL(page.url()).search).toBe('');
    await page.context().close();
  });

  it('runs a whole cut set that stands in the address, and either ablation', async () => {
    // Positions are the same in both prompts, so resampling what only carries them changes nothing; zero breaks it.
    const page = await open(circuitPath(workspace.written, '?cut=edge:e0&cut=edge:e1&ablation=resample'));
    await expect.poll(() => move(page)).toBe('1 to 1');
    await page.getByRole('radio', { name: 'zero' }).check({ force: true });
    await expect.poll(() => move(page)).toBe('1 to 0');
    expect(await page.getByRole('list', { name: 'Cut set' }).getByRole('listitem').count()).toBe(3);
    await page.context().close();
  });

  it('shows attention of a run made now', async () => {
    const page = await open(circuitPath(workspace.written, '?head=0.0'));
    const answer = await page.request.get(`${served.url}/api/circuits/${workspace.written}/pattern?layer=0&example=1`);
    const { heads, tokens, examples } = await answer.json();
    expect([heads.length, tokens[0], examples]).toEqual([1, '<bos>', 24]);
    // The previous-token head, written to attend one position back.
    for (const [query, row] of heads[0].entries()) expect(row[Math.max(0, query - 1)]).toBeCloseTo(1, 4);
    await page.getByText('example 1 of 24').waitFor();
    await page.getByRole('button', { name: 'Next example' }).click();
    await page.getByText('example 2 of 24').waitFor();
    await page.context().close();
  });

  it('says in one sentence why a circuit of other weights cannot be run', async () => {
    const page = await open(circuitPath(workspace.changed));
    expect(await page.locator('section [role="alert"]').first().textContent()).toContain(
      'not those that this circuit was found in',
    );
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !/status of 422/.test(text)));
    await page.context().close();
  });

  it('keeps labels text, whatever they hold', async () => {
    const list = await open('/');
    expect(await list.getByRole('link', { name: HOSTILE }).count()).toBe(1);
    await list.context().close();
    const page = await open(circuitPath(workspace.hostile));
    expect(await page.title()).toContain(HOSTILE);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('h1').textContent()).toBe(`Hostile ${HOSTILE}`);
    await page.context().close();
  });

  it('is dark where the system is, and keeps a choice across visits', async () => {
    const page = await open('/', { colorScheme: 'dark' });
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect(await paper()).toBe('rgb(20, 23, 27)');
    await page.getByRole('radio', { name: 'light' }).check({ force: true });
    expect(await paper()).toBe('rgb(255, 255, 255)');
    await page.reload({ waitUntil: 'commit' });
    await page.locator('body').waitFor();
    expect(await paper()).toBe('rgb(255, 255, 255)');
    await page.context().close();
  });

  it('fits a telephone', async () => {
    for (const path of ['/', circuitPath(workspace.written, '?select=edge:e7&cut=edge:e7')]) {
      const page = await open(path, { viewport: { width: 400, height: 800 } });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
      await page.context().close();
    }
  });

  it('reports no error and asks nothing of any other machine', () => {
    expect(complaints).toEqual([]);
    expect(served.said()).not.toMatch(/error/i);
  });
});

/** A request with headers that a browser would not let a page set. */
function raw(
  path: string,
  headers: Record<string, string>,
  options: { method?: string; body?: string } = {},
): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: served.port, path, method: options.method ?? 'GET', headers },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
      },
    );
    sent.on('error', reject);
    sent.end(options.body);
  });
}

describe('the server', () => {
  const effectPath = () => `/api/circuits/${workspace.written}/effect`;
  const body = JSON.stringify({ ablation: 'zero', edges: [], units: [{ kind: 'head', layer: 0, head: 0 }] });
  const post = (text: string, headers: Record<string, string> = {}) =>
    raw(
      effectPath(),
      { host: `127.0.0.1:${served.port}`, 'content-type': 'application/json', ...headers },
      { method: 'POST', body: text },
    );

  it('computes with the addon where there is one', async () => {
    const addon = join(import.meta.dirname, `../../../native/circuitscope.${process.platform}-${process.arch}.node`);
    const health = await (await fetch(`${served.url}/api/health`)).json();
    expect(health.executor).toBe(existsSync(addon) ? 'native' : 'reference');
    expect('reason' in health).toBe(health.executor === 'reference');
  });

  it('sends a policy that lets no foreign script run', async () => {
    const { headers } = await raw('/', { host: `127.0.0.1:${served.port}` });
    const policy = String(headers['content-security-policy']);
    expect(policy).toMatch(/default-src 'none'/);
    expect(policy).toMatch(/script-src 'self' 'nonce-[^']+'(;|$)/);
    expect(policy).toMatch(/connect-src 'self'(;|$)/);
    expect(policy).toMatch(/frame-ancestors 'none'/);
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('listens on this machine alone unless it is told otherwise', () => {
    expect(served.said()).toContain('127.0.0.1');
  });

  it('answers no foreign name and no foreign page', async () => {
    expect((await raw('/', { host: 'evil.example' })).status).toBe(403);
    expect((await post(body)).status).toBe(200);
    expect((await post(body, { origin: `http://127.0.0.1:${served.port}` })).status).toBe(200);
    expect((await post(body, { origin: 'http://evil.example' })).status).toBe(403);
    expect((await post(body, { origin: 'http://127.0.0.1:1' })).status).toBe(403);
  });

  it('measures a unit as all its edges together, and an edge of it no second time', async () => {
    const unit = JSON.parse((await post(body)).text);
    const edge = { from: { kind: 'head', layer: 0, head: 0 }, to: { kind: 'head', layer: 1, head: 0, port: 'k' } };
    const both = JSON.parse((await post(JSON.stringify({ ...JSON.parse(body), edges: [edge, edge] }))).text);
    expect(unit).toEqual({ metric: 'accuracy', before: 1, after: 0, n: 24 });
    expect(both).toEqual(unit);
  });

  it('answers what it cannot do with one sentence', async () => {
    const asked = [
      post('{"ablation":"zero"}'),
      post('not json'),
      post(JSON.stringify({ ablation: 'zero', units: [{ kind: 'head', layer: 99, head: 0 }] })),
      raw(`/api/circuits/sha256:${'e'.repeat(64)}/pattern?layer=0&example=0`, { host: 'localhost' }),
      raw(`/api/circuits/${workspace.written}/pattern?layer=0&example=900`, { host: 'localhost' }),
      raw(`/api/circuits/${workspace.written}/pattern?layer=7&example=0`, { host: 'localhost' }),
      raw('/api/circuits/..%2f..%2fetc%2fpasswd/pattern?layer=0&example=0', { host: 'localhost' }),
    ];
    const answers = (await Promise.all(asked)).map(({ status, text }) => ({ status, ...JSON.parse(text) }));
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 422, 404, 422, 422, 404]);
    for (const { message } of answers) expect(message).toMatch(/^[A-Z].+\.$/);
  });

  it('gives the record in the bytes of its hash', async () => {
    const { text, headers } = await raw(`/api/circuits/${workspace.written}/record`, { host: 'localhost' });
    const digest = new Bun.CryptoHasher('sha256').update(text).digest('hex');
    expect(`sha256:${digest}`).toBe(workspace.written);
    expect(headers['content-disposition']).toMatch(/^attachment; filename="circuit-[0-9a-f]{12}\.json"$/);
  });

  it('says what to do in a workspace without circuits', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'circuitscope-empty-'));
    const empty = await serve(folder);
    const page = await (await fetch(empty.url)).text();
    const bench = await (await fetch(`${empty.url}/bench`)).text();
    await empty.stop();
    rmSync(folder, { recursive: true, force: true });
    expect(page).toContain('npm run demo');
    expect(bench).toContain('bench kernels --roofs --keep');
  });
});
