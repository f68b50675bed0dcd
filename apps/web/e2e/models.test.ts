import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HOSTILE } from './make-workspace.ts';
import { type Served, serve } from './serve.ts';

const flags = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'];
const MODEL = '/models/induction-attn-2l.seed-0';

let browser: Browser;
let served: Served;
const folder = mkdtempSync(join(tmpdir(), 'circuitscope-models-'));
const complaints: string[] = [];

beforeAll(async () => {
  served = await serve(folder, { CIRCUITSCOPE_MODELS: 'zoo:induction-attn-2l/seed-0' });
  browser = await chromium.launch({ executablePath: process.env.CIRCUITSCOPE_CHROMIUM ?? 'chromium', args: flags });
});

afterAll(async () => {
  await browser?.close();
  await served?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function open(path: string, width = 1280): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width, height: 900 } })).newPage();
  page.on('console', (message) => message.type() === 'error' && complaints.push(`${path}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`${path}: ${error.message}`));
  await page.goto(served.url + path, { waitUntil: 'networkidle' });
  return page;
}

it('leads from the list to the parts of a model, drawn and listed', async () => {
  const page = await open('/models');
  await page.getByRole('link', { name: 'induction-attn-2l.seed-0', exact: true }).first().click();
  await page.waitForURL(`**${MODEL}`);
  expect(await page.getByRole('button', { name: /^Attention/ }).count()).toBe(1);
  await page.getByRole('searchbox').fill('hook_pattern');
  expect(await page.getByRole('table', { name: 'Sites' }).textContent()).toMatch(/blocks\.\{0–1\}\.attn\.hook_pattern/);
  await page.getByRole('searchbox').fill('mlp');
  expect(await page.getByRole('table', { name: 'Sites' }).textContent()).toContain('not in this model');
  await page.context().close();
});

it('reads a prompt as it is typed, keeps it in the address, and shows it again from there', async () => {
  const page = await open(`${MODEL}/prompt`);
  await page.getByRole('button', { name: /^Try/ }).click();
  await page.getByText('✓ equal to rounding').waitFor();
  const chips = page.getByRole('figure', { name: 'Tokens' }).getByRole('button');
  await expect.poll(() => chips.count()).toBeGreaterThan(3);
  const count = await chips.count();
  await expect.poll(() => new URL(page.url()).searchParams.get('text')).not.toBeNull();
  await page.getByRole('radio', { name: '1', exact: true }).check();
  await expect.poll(() => new URL(page.url()).searchParams.get('head')).toBe('1.0');
  await page.reload({ waitUntil: 'networkidle' });
  await page.getByText('✓ equal to rounding').waitFor();
  await expect.poll(() => chips.count()).toBe(count);
  expect(await page.getByRole('radio', { name: '1', exact: true }).isChecked()).toBe(true);
  await page.getByRole('application', { name: /^Logit lens/ }).focus();
  await page.keyboard.press('ArrowUp');
  await page.getByText(/^final_post at/).waitFor();
  await page.context().close();
});

it('says what is wrong with a text in one sentence, and takes none for markup', async () => {
  const page = await open(`${MODEL}/prompt?text=${encodeURIComponent(HOSTILE)}`);
  const alert = page.getByRole('alert').first();
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/^[A-Z].+<img.+\.$/);
  expect(await page.locator('main img').count()).toBe(0);
  expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe(HOSTILE);
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !/status of 422/.test(text)));
  await page.context().close();
});

it('goes on with a text, token by token, and stops when it is told to', async () => {
  const page = await open(`${MODEL}/prompt?steps=8&count=2&temperature=1`);
  await page.getByRole('button', { name: /^Try/ }).click();
  await page.getByRole('button', { name: 'Generate' }).click();
  await page.getByText(/^16 tokens in/).waitFor();
  expect(await page.getByTestId('generated').count()).toBe(2);
  await page.getByLabel('heads set to 0').fill('9.9');
  await page.getByRole('button', { name: 'Generate' }).click();
  await page.getByText(/is no head of this model/).waitFor();
  await page.context().close();
});

it('patches a grid, shows the change of a cell, and gives the same question for a terminal', async () => {
  const page = await open(`${MODEL}/patch`);
  await page.getByLabel(/^Places/).selectOption('head');
  await page.getByRole('button', { name: 'Patch', exact: true }).click();
  const grid = page.getByRole('application', { name: /^z by layer and head/ });
  await grid.waitFor();
  await grid.focus();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  expect(await page.getByTestId('cell').textContent()).toMatch(/layer 1, head \d+: the logit difference goes from/);
  expect(await page.getByTestId('command').textContent()).toMatch(/^circuitscope model patch --model zoo:\S+ --clean/);
  expect(new URL(page.url()).searchParams.get('run')).toBe('1');
  await page.reload({ waitUntil: 'networkidle' });
  await grid.waitFor();
  await page.context().close();
});

it('a question that is cancelled ends, and the next one is answered', async () => {
  const page = await open(`${MODEL}/patch`);
  await page.getByLabel(/^Places/).selectOption('head-position');
  // The question is held back on its way, so that it is still open when it is cancelled.
  await page.route('**/api/models/*/patch', (route) =>
    setTimeout(() => void route.continue().catch(() => undefined), 2000),
  );
  const gone = page.waitForEvent('requestfailed');
  await page.getByRole('button', { name: 'Patch', exact: true }).click();
  await page.getByRole('progressbar').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  expect((await gone).url()).toMatch(/\/patch$/);
  await page.getByText('cancelled').waitFor();
  expect(await page.getByRole('progressbar').count()).toBe(0);
  const body = JSON.stringify({ text: '', answer: '', wrong: '' });
  const answer = await fetch(`${served.url}/api${MODEL}/reading`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(answer.status).toBe(200);
  await page.context().close();
});

it('fits a telephone, and complains of nothing', async () => {
  for (const path of ['/models', MODEL, `${MODEL}/prompt`, `${MODEL}/patch`]) {
    const page = await open(path, 400);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
    await page.context().close();
  }
  expect(await (await fetch(`${served.url}/models/..%2f..%2fetc`)).status).toBe(404);
  expect(complaints).toEqual([]);
});
