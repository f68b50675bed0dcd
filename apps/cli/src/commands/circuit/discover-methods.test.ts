import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Circuit, Circuit as CircuitSchema, mustParse } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

const MEMBER = 'zoo:induction-handwritten';
const WRITTEN = ['0.0→1.0.K', '1.0→logits', 'input→0.0.K', 'input→0.0.Q', 'input→0.0.V', 'input→1.0.Q', 'input→1.0.V'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const discover = (...words: string[]) =>
  circuitscope(
    [
      'circuit',
      'discover',
      '--model',
      MEMBER,
      ...(words.includes('--metric') ? [] : ['--metric', 'logit_diff']),
      ...words,
    ],
    { cwd: folder },
  );

async function json(...words: string[]) {
  const { code, stdout, stderr } = await discover(...words, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

const inside = (found: Circuit) =>
  found.edges
    .filter(({ inCircuit }) => inCircuit)
    .map(({ id }) => id)
    .sort();

describe('circuit discover --method', () => {
  test('acdc finds the written edges in every order', async () => {
    for (const order of ['descending', 'ascending', 'shuffled']) {
      const { circuit } = await json('--method', 'acdc', '--threshold', '0.05', '--order', order);
      expect(inside(circuit)).toEqual(WRITTEN);
      expect(circuit.prune).toMatchObject({ rule: 'acdc', threshold: 0.05, weight: 'patch_effect', ablation: 'zero' });
      expect(circuit.provenance.method).toBe('ACDC');
    }
  });

  test('eap-ig from nothing finds them too, with estimate and exact effect side by side', async () => {
    const { circuit } = await json('--method', 'eap-ig', '--steps', '10');
    expect(mustParse(CircuitSchema, circuit, 'circuit')).toEqual(circuit);
    for (const edge of WRITTEN) expect(inside(circuit)).toContain(edge);
    expect(circuit.prune).toMatchObject({ rule: 'best', threshold: 0.9, weight: 'attribution' });
    const key = circuit.edges.find(({ id }: { id: string }) => id === '0.0→1.0.K');
    const weight = (kind: string) => key.weights.find((one: { kind: string }) => one.kind === kind);
    expect(weight('attribution')).toMatchObject({
      method: 'EAP-IG, 10 steps, paper sum',
      sign: 'clean_minus_cut',
      ablation: 'zero',
      unit: 'logit_diff',
    });
    expect(weight('attribution').value).toBeLessThan(0.2 * weight('patch_effect').value);
    expect(circuit.provenance.parameters.method).toEqual({ kind: 'eap-ig', steps: 10 });
  });

  test('eap sees nothing behind saturated attention: by score two edges of the circuit are left, with one against it', async () => {
    const { circuit } = await json('--method', 'eap', '--threshold', '0.5');
    expect(inside(circuit)).toEqual(['1.0→logits', 'input→1.0.V', 'input→logits']);
    const alone = circuit.evidence.find(({ name }: { name?: string }) => name === 'logit_diff, circuit alone');
    expect(alone.value).toBeLessThan(0);
  });

  test('each method is a question of its own, and a proof takes whatever found the circuit', async () => {
    const first = await json('--method', 'attribution');
    expect((await json('--method', 'attribution')).found).toBe(true);
    expect((await json('--method', 'eap')).found).toBe(false);
    const { code, stdout } = await circuitscope(
      ['circuit', 'validate', first.hash, '--random-circuits', '20', '--json'],
      {
        cwd: folder,
      },
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout).circuit.metrics.length).toBeGreaterThan(0);
  });

  test('the table shows the estimate beside the cuts', async () => {
    const { stdout } = await discover('--method', 'eap');
    expect(stdout).toMatch(/edge +estimate +cut: zero/);
    expect(stdout).toContain('recover 90 % of the logit_diff');
    expect((await discover()).stdout).not.toContain('estimate');
  });

  test.each([
    [['--method', 'acdc'], /give --threshold/],
    [['--method', 'eap', '--steps', '3'], /--steps belongs to --method eap-ig/],
    [['--order', 'ascending'], /--order belongs to --method acdc/],
    [['--method', 'eap', '--metric', 'accuracy'], /Accuracy is a step/],
    [['--method', 'guess'], /exact, acdc, eap, eap-ig/],
  ])('%j is a mistake', async (words, message) => {
    const { code, stdout, stderr } = await discover(...words);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(message);
  });
});
