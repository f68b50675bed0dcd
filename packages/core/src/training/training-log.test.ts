import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, expect, test } from 'vitest';
import { openLog, readTrainingLog } from './training-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'training-log-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'log.jsonl');
const head = { kind: 'training', version: 1, recipe: 'r', seed: 0, steps: 9 };

test('lines come back as they were written, and the log is cut to what is kept', () => {
  const log = openLog(path, 0);
  log.append(head);
  log.append({ step: 0, loss: 1 / 3, learningRate: 1e-3, gradientNorm: 2, metrics: { é: 1 } });
  const kept = log.sync();
  log.append({ step: 1, loss: 0.25 });
  log.close();
  expect(readTrainingLog(path).lines.map(({ step }) => step)).toEqual([0, 1]);
  const again = openLog(path, kept);
  again.append({ step: 1, loss: 0.5 });
  again.close();
  expect(readTrainingLog(path)).toEqual({
    head,
    lines: [
      { step: 0, loss: 1 / 3, learningRate: 1e-3, gradientNorm: 2, metrics: { é: 1 } },
      { step: 1, loss: 0.5 },
    ],
  });
});

test('half a line at the end is left out', () => {
  writeFileSync(path, `${JSON.stringify(head)}\n{"step":0,"loss":1}\n{"step":1,"lo`);
  expect(readTrainingLog(path).lines).toEqual([{ step: 0, loss: 1 }]);
});

test('a line that is none is refused with its number', () => {
  for (const line of [
    '{"step":0}',
    '{"step":0.5,"loss":1}',
    '{"step":0,"loss":1e999}',
    '[]',
    'x',
    '{"step":0,"loss":1,"metrics":{"a":"b"}}',
  ]) {
    writeFileSync(path, `${JSON.stringify(head)}\n{"step":0,"loss":1}\n${line}\n`);
    expect(() => readTrainingLog(path)).toThrow(CircuitscopeError);
    expect(() => readTrainingLog(path)).toThrow(/ine 3/);
  }
  writeFileSync(path, '{"kind":"other"}\n');
  expect(() => readTrainingLog(path)).toThrow('Line 1');
});
