import { describe, expect, test } from 'vitest';
import { startPeer } from './peer-process.ts';
import { peerNames, peers, peersNamed } from './peers.ts';

/** Runs a program in this runtime as a peer. */
function peer(program: string, signal = new AbortController().signal) {
  return startPeer('peer', { program: process.execPath, args: ['-e', program], env: {} }, signal);
}

const echo = `require('readline').createInterface({ input: process.stdin }).on('line', (line) => console.log(line))`;

describe('a peer', () => {
  test('answers line by line, in order', async () => {
    const started = peer(echo);
    const answers = await Promise.all(['1', '2', '3'].map((version) => started.ask({ version })));
    expect(answers.map(({ version }) => version)).toEqual(['1', '2', '3']);
    started.stop();
  });

  test('whose answer is an error, or no JSON, fails that question alone', async () => {
    const started = peer(echo);
    await expect(started.ask({ error: 'no such kernel' })).rejects.toMatchObject({
      code: 'peer_failed',
      message: expect.stringContaining('no such kernel'),
    });
    expect(await started.ask({ version: '1' })).toEqual({ version: '1' });
    started.stop();
    const noisy = peer(`console.log('hello there'); setInterval(() => {}, 1000)`);
    await expect(noisy.ask({})).rejects.toMatchObject({ message: expect.stringContaining('no JSON: hello there') });
    noisy.stop();
  });

  test('that ends is told with its last words, also to those who ask later', async () => {
    const started = peer(`console.error('first'); console.error('no module named x'); process.exit(3)`);
    const wanted = { code: 'peer_failed', message: expect.stringMatching(/ended with code 3: no module named x\.$/) };
    await expect(started.ask({})).rejects.toMatchObject(wanted);
    await expect(started.ask({})).rejects.toMatchObject(wanted);
  });

  test('that is not there is a mistake, not a crash', async () => {
    const signal = new AbortController().signal;
    const started = startPeer('none', { program: '/nonexistent/program', args: [], env: {} }, signal);
    await expect(started.ask({})).rejects.toMatchObject({ code: 'peer_failed' });
  });

  test('is ended when the run is cancelled', async () => {
    const cancel = new AbortController();
    const started = peer('setInterval(() => {}, 1000)', cancel.signal);
    const asked = started.ask({});
    cancel.abort();
    await expect(asked).rejects.toMatchObject({ code: 'peer_failed' });
  });
});

test('a name means its peer with every way of packing, and names are told apart', () => {
  expect(peersNamed('gemmkit').map(({ name }) => name)).toEqual(['gemmkit', 'gemmkit, packing']);
  expect(peersNamed('gemm').map(({ name }) => name)).toEqual(['gemm']);
  expect(peersNamed('blas')).toEqual([]);
  expect(new Set(peers.map(({ name }) => name)).size).toBe(peers.length);
  expect(peerNames).not.toContain('gemmkit, packing');
});
