import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { foreignLoad, type ProcessTime, processTimes } from './processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'circuitscope-processes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what others do', () => {
  const one = (pid: number, parent: number, name: string, seconds: number): ProcessTime => ({
    pid,
    parent,
    name,
    seconds,
  });

  test('leaves out this program and those it started, counts new ones whole, and joins those of one name', () => {
    const before = [one(1, 0, 'init', 5), one(10, 1, 'ours', 3), one(20, 1, 'cc', 1), one(21, 1, 'cc', 1)];
    const after = [
      one(1, 0, 'init', 5.001),
      one(10, 1, 'ours', 9),
      one(11, 10, 'peer', 4),
      one(12, 11, 'peer', 4),
      one(20, 1, 'cc', 2),
      one(21, 1, 'cc', 1.5),
      one(30, 1, 'new', 3),
    ];
    expect(foreignLoad(before, after, 2, 10)).toEqual([
      { name: 'new', processors: 1.5 },
      { name: 'cc', processors: 0.75 },
    ]);
  });

  test('ends where programs say that they are each other’s parents', () => {
    const circle = [one(1, 2, 'a', 1), one(2, 1, 'b', 1)];
    expect(foreignLoad([], circle, 1, 9)).toHaveLength(2);
  });
});

test('programs are read by their numbers, names with brackets and blanks whole', () => {
  for (const [pid, stat] of [
    ['7', '7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 0'],
    ['8', 'nothing of the kind'],
  ] as const) {
    mkdirSync(join(folder, pid));
    writeFileSync(join(folder, pid, 'stat'), stat);
  }
  mkdirSync(join(folder, 'self'));
  expect(processTimes(folder)).toEqual([{ pid: 7, parent: 3, name: 'a (b) c', seconds: 2 }]);
  expect(processTimes(join(folder, 'none'))).toEqual([]);
});
