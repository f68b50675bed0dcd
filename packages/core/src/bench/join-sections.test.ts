import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchSection, parseBenchFile } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { joinSections } from './join-sections.ts';

const path = join(import.meta.dirname, '../../../../apps/cli/src/commands/bench/fixtures/run.jsonl');
const [section] = parseBenchFile(readFileSync(path, 'utf8'), 'run.jsonl') as [BenchSection];
const [first, ...rest] = section.results;

describe('sections of one file', () => {
  test('join into one run, a later result in the place of an earlier one', () => {
    const again = first && { ...first, discarded: { steal: 9, clock: 9 } };
    const joined = joinSections([
      { run: section.run, results: section.results },
      { run: { ...section.run, rounds: 99 }, results: again ? [again] : [] },
    ]);
    expect(joined.run.rounds).toBe(99);
    expect(joined.results).toHaveLength(section.results.length);
    expect([joined.results[0]?.discarded.steal, joined.results.slice(1)]).toEqual([9, rest]);
    expect(joined.end).toBeUndefined();
  });

  test('keep the fullest measurement of the machine, and leave out what another machine did', () => {
    const { machine } = section.run;
    const bare = { ...section.run, machine: { ...machine, peaks: [], bandwidths: [] } };
    const elsewhere = { ...section.run, machine: { ...machine, fingerprint: 'elsewhere' } };
    const joined = joinSections([
      { run: elsewhere, results: section.results },
      { run: section.run, results: [] },
      { run: bare, results: rest },
    ]);
    expect(joined.run.machine.peaks).toEqual(machine.peaks);
    expect(joined.results).toEqual(rest);
    expect(() => joinSections([])).toThrow(expect.objectContaining({ code: 'no_run' }));
  });
});
