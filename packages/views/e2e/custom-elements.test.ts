// The custom elements as a stranger uses them: one static page, one script each, data as JSON in the page. A loopback
// server hands out the files, because browsers load no module from file://.

import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

const here = import.meta.dirname;
const executablePath = process.env.CIRCUITSCOPE_CHROMIUM ?? '/usr/bin/chromium';
const hasChromium = existsSync(executablePath);
const HOSTILE = '<img src=x onerror="globalThis.pwned=1">';

/** Only these are served. */
const FILES: Readonly<Record<string, { readonly path: string; readonly type: string }>> = {
  '/': { path: join(here, 'embed.html'), type: 'text/html; charset=utf-8' },
  '/circuit-graph.js': { path: join(here, '../dist/circuit-graph.js'), type: 'text/javascript' },
  '/attention-pattern.js': { path: join(here, '../dist/attention-pattern.js'), type: 'text/javascript' },
  '/bench-roofline.js': { path: join(here, '../dist/bench-roofline.js'), type: 'text/javascript' },
  '/bench-table.js': { path: join(here, '../dist/bench-table.js'), type: 'text/javascript' },
};

let server: Server;
let browser: Browser | undefined;
let page: Page;
let requests: string[];
let errors: string[];

beforeAll(async () => {
  if (!hasChromium) return;
  for (const { path } of Object.values(FILES)) {
    if (!existsSync(path))
      throw new Error(`${basename(path)} is not built; run "bun run build" in packages/views first.`);
  }
  server = createServer((request, response) => {
    const file = FILES[request.url ?? ''];
    if (!file) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': file.type }).end(readFileSync(file.path));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

afterAll(async () => {
  await browser?.close();
  if (hasChromium) await new Promise((resolve) => server.close(resolve));
});

beforeEach(async (context) => {
  if (!browser) return context.skip(`no Chromium at ${executablePath}; $CIRCUITSCOPE_CHROMIUM may name another`);
  page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
  requests = [];
  errors = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  const address = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${address.port}/`);
  return async () => {
    await page.close();
  };
});

test('the graph is drawn from the JSON in the page, and nothing else is fetched', async () => {
  const graph = page.locator('circuit-graph');
  await graph.locator('g.node').first().waitFor();
  expect(await graph.locator('g.node').count()).toBe(4);
  expect(await graph.locator('g.strong path:not(.casing)').count()).toBe(3);
  const box = await graph.locator('svg[role="group"]').boundingBox();
  expect(box?.height).toBeGreaterThan(300);
  expect(requests).toEqual(['/', ...Object.keys(FILES).filter((path) => path !== '/')]);
  expect(errors).toEqual([]);
});

test('an edge is selected by the keyboard alone', async () => {
  const graph = page.locator('circuit-graph');
  await graph.getByRole('searchbox').focus();
  // From the last control the tab key enters the drawing at the input.
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('e');
  expect(await graph.getByRole('heading', { level: 3 }).textContent()).toBe('0.0→1.0.K');
  await page.keyboard.press('Control+z');
  expect(await graph.getByRole('heading', { level: 3 }).count()).toBe(0);
  expect(await page.evaluate(() => Reflect.get(globalThis, 'selections'))).toEqual(['edge e1', 'nothing']);
});

test('an edge is selected by the pointer', async () => {
  const graph = page.locator('circuit-graph');
  const path = graph.locator('g.strong path.positive').first();
  const point = await path.evaluate((element) => {
    if (!(element instanceof SVGPathElement)) throw new Error('not a path');
    const middle = element.getPointAtLength(element.getTotalLength() / 2);
    const screen = middle.matrixTransform(element.getScreenCTM() ?? new DOMMatrix());
    return { x: screen.x, y: screen.y };
  });
  await page.mouse.click(point.x + 3, point.y);
  expect(await graph.getByRole('heading', { level: 3 }).textContent()).toBe('input→0.0.V');
});

test('a hostile label stays text', async () => {
  const graph = page.locator('circuit-graph');
  await graph.locator('[data-index="1"]').click();
  expect(await graph.locator('section').textContent()).toContain(HOSTILE);
  expect(await graph.locator('img').count()).toBe(0);
  expect(await page.locator('attention-pattern img').count()).toBe(0);
  expect(await page.evaluate(() => Reflect.get(globalThis, 'pwned'))).toBeUndefined();
});

test('the attention pattern is painted and walked by keys', async () => {
  const pattern = page.locator('attention-pattern');
  const matrix = pattern.getByRole('application');
  await matrix.focus();
  await page.keyboard.press('ArrowDown');
  expect(await pattern.locator('.cell').textContent()).toBe('Query 2 “␣the” → key 1 “␣the”: 0.75');
  const painted = await pattern
    .locator('canvas')
    .last()
    .evaluate((canvas) => {
      const context = canvas instanceof HTMLCanvasElement ? canvas.getContext('2d') : null;
      if (!context) return [];
      const third = context.canvas.width / 3;
      return [0, 1, 2].map((key) => context.getImageData((key + 0.5) * third, 2.5 * third, 1, 1).data[3]);
    });
  expect(painted).toEqual([64, 191, 0]);
});

test('a benchmark is drawn and tabled from the same JSON, and its names stay text', async () => {
  const roofline = page.locator('bench-roofline');
  await roofline.locator('circle.own').first().waitFor();
  expect(await roofline.locator('svg[role="group"] circle').count()).toBe(2);
  expect(
    await page
      .locator('bench-table')
      .getByRole('row', { name: /^torch 2\.9/ })
      .textContent(),
  ).toContain('2 ms');
  await page.locator('bench-table').getByRole('button', { name: HOSTILE }).click();
  expect(await page.locator('bench-roofline img, bench-table img').count()).toBe(0);
  await roofline.getByRole('application').focus();
  await page.keyboard.press('ArrowRight');
  expect(await roofline.locator('.point').textContent()).toMatch(/by torch 2\.9: 25 GFLOP\/s at 100 FLOP a byte, 25 %/);
  expect(await page.evaluate(() => Reflect.get(globalThis, 'pwned'))).toBeUndefined();
  expect(errors).toEqual([]);
});

test('the theme of the page reaches both elements, and repaints the canvas', async () => {
  const colours = () =>
    page.evaluate(() =>
      ['circuit-graph', 'attention-pattern'].map((tag) => {
        const figure = document.querySelector(tag)?.shadowRoot?.querySelector('figure');
        return figure ? getComputedStyle(figure).backgroundColor : undefined;
      }),
    );
  await page.locator('attention-pattern canvas').first().waitFor();
  expect(await colours()).toEqual(['rgb(255, 255, 255)', 'rgb(255, 255, 255)']);
  const canvas = page.locator('attention-pattern canvas').last();
  const blue = () =>
    canvas.evaluate((element) =>
      element instanceof HTMLCanvasElement ? element.getContext('2d')?.getImageData(2, 2, 1, 1).data[0] : undefined,
    );
  const before = await blue();
  await page.evaluate(() => document.documentElement.setAttribute('data-theme', 'dark'));
  await expect.poll(colours).toEqual(['rgb(20, 23, 27)', 'rgb(20, 23, 27)']);
  await expect.poll(blue).not.toBe(before);
});

test.each([320, 1600])('nothing spills over the page at %i pixels', async (width) => {
  await page.setViewportSize({ width, height: 900 });
  await page.locator('circuit-graph g.node').first().waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
});
