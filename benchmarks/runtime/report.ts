import type { ExecutorInfo } from '@circuitscope/core';
import type { Compared, ComparedSide } from './compare-sides.ts';
import type { Row } from './rows.ts';

export function headOf({ cpu, path, kind }: ExecutorInfo, threads: number, pythons: number): string {
  const none = pythons === 0 ? ' Nobody to compare with: CIRCUITSCOPE_PYTHON names Pythons that have peers.' : '';
  return `${cpu}, ${kind} ${path}, ${threads} threads each.${none}\n`;
}

const titles = ['side', 'time', 'ratio', 'peak memory', 'multiply-adds', 'largest error', 'others used'];

/** A markdown table of one row; `ratio` is how many times as long as we the other takes. */
export function tableOf(row: Row, { sides, rounds, against }: Compared): string {
  const own = sides.find((side) => side.own)?.ms ?? Number.NaN;
  const body = sides.map((side) => [
    [side.name, side.own ? null : side.version, side.way && `(${side.way})`].filter(Boolean).join(' '),
    timeOf(side),
    side.ms === null || (side.own && side === sides[0]) ? '' : (side.ms / own).toFixed(side.own ? 3 : 2),
    `${Math.round(side.peakRssBytes / 1e6)} MB${side.keptBytes ? ` (${Math.round(side.keptBytes / 1e6)} kept)` : ''}`,
    side.multiplyAdds === null ? '' : `${giga(side.multiplyAdds)}${side.dense ? ` of ${giga(side.dense)} G` : ' G'}`,
    side.error === null ? 'held against' : side.error.toExponential(0),
    `${side.others.toFixed(2)} CPU`,
  ]);
  const held = against
    ? `numbers held against ${against}, to ${row.tolerance} of the largest`
    : 'nothing to hold against';
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const lines = [line(titles), line(titles.map(() => '---')), ...body.map(line)];
  const head = `### ${row.name}: ${row.what}\n\n${row.each ? 'Times of one. ' : ''}Bar: ${row.bar}. ${rounds} rounds; ${held}.`;
  return `\n${head}\n\n${lines.join('\n')}\n`;
}

function timeOf({ ms, measured }: ComparedSide): string {
  if (ms === null) return 'wrong';
  const text =
    ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(1)} ms`;
  return measured < 1 ? `${text}, from ${percent(measured)}` : text;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.02 ? 1 : 0)} %`;
}

function giga(count: number): string {
  return (count / 1e9).toFixed(count < 1e10 ? 2 : 0);
}
