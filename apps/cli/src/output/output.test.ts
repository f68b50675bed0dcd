import { describe, expect, test } from 'vitest';
import { recordedIo } from '../recorded-io.ts';
import { byLayer, heatMap, numbers, oneLine, progress, properties, styleFor, table } from './index.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

describe('tables', () => {
  test('words stand left, numbers right, no line ends in spaces', () => {
    const text = table(
      [{ title: 'head' }, { title: 'score', align: 'right' }],
      [
        ['0.1', '0.5'],
        ['induction', '12.25'],
      ],
    );
    expect(text).toBe('head       score\n0.1          0.5\ninduction  12.25\n');
  });

  test('wide and combining characters are measured as a terminal shows them', () => {
    expect(
      table(
        [{ title: 'token' }, { title: 'n' }],
        [
          ['漢字', '1'],
          ['e\u0301', '2'],
        ],
      ),
    ).toBe('token  n\n漢字   1\ne\u0301      2\n');
  });

  test('what a file calls itself cannot steer the terminal', () => {
    expect(table([{ title: 'name' }], [['\u001b[31mred\u0007\u009b']])).not.toMatch(controls);
    expect(properties([['name', 'a\nb\u001b]0;x']])).toBe('name  a b\ufffd]0;x\n');
    expect(oneLine('one\n  two')).toBe('one two');
  });
});

test('layers that are alike share a row, and gaps are shown', () => {
  const names = ['embed', 'blocks.0.z', 'blocks.1.z', 'blocks.3.z', 'wq.0', 'wq.1', 'layer2'].map((name) => ({ name }));
  expect(byLayer(names, () => '').map(({ name, count }) => [name, count])).toEqual([
    ['embed', 1],
    ['blocks.0…1,3.z', 3],
    ['wq.0…1', 2],
    ['layer2', 1],
  ]);
  const mixed = [
    { name: 'blocks.0.w', n: 1 },
    { name: 'blocks.1.w', n: 2 },
  ];
  expect(byLayer(mixed, ({ n }) => String(n)).map(({ name }) => name)).toEqual(['blocks.0.w', 'blocks.1.w']);
});

test('numbers have the digits that can be read', () => {
  expect(
    [0.353553, 1, 123456, 0.00001234, 1.5e7, -12.345, 0, Number.NaN].map((value) => numbers.number(value)),
  ).toEqual(['0.3536', '1.000', '123456', '1.234e-5', '1.500e+7', '-12.35', '0', 'NaN']);
  expect([-0.0001, 0.5, Number.POSITIVE_INFINITY].map((value) => numbers.fixed(value))).toEqual([
    '0.000',
    '0.500',
    '∞',
  ]);
  expect(numbers.withInterval(0.95, [0.9, 0.98], 2)).toBe('0.95 [0.90, 0.98]');
  expect([999, 1000, 264128].map(numbers.count)).toEqual(['999', '1 000', '264 128']);
  expect([0, 999, 1000, 1_056_540, 999_600].map(numbers.bytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '1.06 MB',
    '1.00 MB',
  ]);
  expect([5, 12_345, 125_000].map(numbers.duration)).toEqual(['5 ms', '12.3 s', '2 min 5 s']);
});

describe('a progress bar', () => {
  test('is drawn on a terminal, on stderr, and takes itself away', () => {
    const { io, stdout, stderr } = recordedIo({ terminal: true });
    const bar = progress(io, 'reading');
    bar.update(0.5);
    bar.end();
    expect(stderr()).toContain('reading');
    expect(stderr().endsWith('\r\u001b[2K')).toBe(true);
    expect(stdout()).toBe('');
  });

  test('does not exist in a pipe', () => {
    const { io, stderr } = recordedIo();
    const bar = progress(io, 'reading');
    bar.update(1);
    bar.end();
    expect(stderr()).toBe('');
  });
});

test('colour is for terminals, and NO_COLOR and TERM=dumb are obeyed', () => {
  const bold = (options: Parameters<typeof recordedIo>[0]) => styleFor(recordedIo(options).io).bold('x');
  expect(bold({ terminal: true })).toBe('\u001b[1mx\u001b[22m');
  expect(bold({ terminal: false })).toBe('x');
  expect(bold({ terminal: true, env: { NO_COLOR: '1' } })).toBe('x');
  expect(bold({ terminal: true, env: { NO_COLOR: '' } })).toBe('\u001b[1mx\u001b[22m');
  expect(bold({ terminal: true, env: { TERM: 'dumb' } })).toBe('x');
});

describe('heat maps', () => {
  const map = {
    rows: ['0', '10'],
    columns: ['a', 'a long token'],
    corner: 'layer',
    values: [0, 1, null, -0.5],
    full: 1,
    cell: (value: number) => String(100 * value),
  };

  test('are aligned numbers where there is no colour', () => {
    expect(heatMap(map, styleFor(recordedIo().io))).toBe(
      'layer        a a long …\n0            0      100\n10           ·      -50\n',
    );
  });

  test('stand on a ground of red above and blue below zero', () => {
    const { io } = recordedIo({ terminal: true });
    const [, first = '', second = ''] = heatMap(map, styleFor(io)).split('\n');
    expect(first).toContain('\u001b[38;5;16;48;5;203m      100\u001b[39;49m');
    expect(second).toContain('\u001b[38;5;16;48;5;153m      -50\u001b[39;49m');
    expect(first.match(/48;5/g)).toHaveLength(1);
  });
});
