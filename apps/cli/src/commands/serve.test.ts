import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cancelled } from '../process-io.ts';
import { recordedIo } from '../recorded-io.ts';
import { runCli } from '../run-cli.ts';
import { freePort } from '../serve/free-port.ts';
import { tree } from './index.ts';

const page = `
  import { createServer } from 'node:http';
  const { HOST, PORT, CIRCUITSCOPE_WORKSPACE } = process.env;
  createServer((_, answer) => answer.end(CIRCUITSCOPE_WORKSPACE)).listen(Number(PORT), HOST);`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-serve-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (script: string, words: readonly string[] = []) => {
  const entry = join(folder, 'index.js');
  writeFileSync(entry, script);
  const controller = new AbortController();
  const recorded = recordedIo({
    cwd: folder,
    env: { ...process.env, CIRCUITSCOPE_DASHBOARD: entry },
    signal: controller.signal,
  });
  const code = runCli({ tree, version: '0' }, ['serve', ...words], recorded.io);
  return { ...recorded, code, stop: () => controller.abort(new Cancelled()) };
};
const until = async (ready: () => boolean): Promise<void> => {
  for (let i = 0; i < 600 && !ready(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
};

test('serve prints the URL once it answers there, hands the workspace on, and ends with Ctrl-C', async () => {
  const server = start(page, ['--workspace', 'results', '--json']);
  await until(() => server.stdout() !== '');
  const { url, workspace } = JSON.parse(server.stdout());
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(workspace).toBe(join(folder, 'results'));
  expect(await (await fetch(url)).text()).toBe(workspace);
  server.stop();
  expect(await server.code).toBe(0);
  await expect(fetch(url)).rejects.toThrow();
});

test('a server that ends by itself is one line with its last words', async () => {
  const server = start("console.error('first'); console.error('no such thing'); process.exit(3);");
  expect(await server.code).toBe(1);
  expect(server.stderr()).toBe('circuitscope: The dashboard ended by itself (3): no such thing\n');
});

test('a port that is taken is passed over, unless it was asked for', async () => {
  const holder = createServer();
  const port = await new Promise<number>((resolve) =>
    holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port)),
  );
  try {
    expect(await freePort('127.0.0.1', port, 20)).toBeGreaterThan(port);
    await expect(freePort('127.0.0.1', port, 1)).rejects.toMatchObject({ code: 'port_taken' });
    const server = start(page, ['--port', String(port)]);
    expect(await server.code).toBe(1);
    expect(server.stderr()).toContain('is taken on 127.0.0.1; choose another with --port');
  } finally {
    holder.close();
  }
});

test('an address that this machine does not have is a mistake', async () => {
  await expect(freePort('192.0.2.1', 4173, 1)).rejects.toMatchObject({ code: 'bad_host' });
});
