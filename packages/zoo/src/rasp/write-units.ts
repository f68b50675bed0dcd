import { applyFunction, applyPair, number } from './apply-functions.ts';
import type { RaspValue, RaspVariable } from './rasp-program.ts';
import type { StreamBlocks } from './stream-blocks.ts';

/** One ReLU unit: what it reads of the stream and what it adds to it, by column. */
export interface MlpUnit {
  readonly into: readonly Weighted[];
  readonly out: readonly Weighted[];
}

type Weighted = readonly [column: number, weight: number];

/** Slope of a step: it rises over 1/100. */
const STEEP = 100;

/** The units that write a variable. */
export function writeUnits(stream: StreamBlocks, variable: RaspVariable): readonly MlpUnit[] {
  switch (variable.kind) {
    case 'map':
      return stream.block(variable.of).values.kind === 'number' ? threshold(stream, variable) : table(stream, variable);
    case 'sequence_map':
      return pairs(stream, variable);
    case 'linear_map':
      return [
        ...signed(stream, variable.left, variable.name, variable.weights[0]),
        ...signed(stream, variable.right, variable.name, variable.weights[1]),
      ];
    case 'selector_width':
      return widthOf(stream, variable.name);
    case 'aggregate':
      return [];
  }
}

/** What a value adds to the block of a variable. */
function written(stream: StreamBlocks, name: string, value: RaspValue): Weighted {
  const { from, values } = stream.block(name);
  return values.kind === 'number' ? [from, number(value)] : [stream.columnOf(name, value), 1];
}

/** One unit per value of the result; for a number one of its positive and one of its negative values. */
function table(stream: StreamBlocks, variable: Extract<RaspVariable, { kind: 'map' }>): MlpUnit[] {
  const mapped = stream
    .columns(variable.of)
    .map(({ column, value }) => ({ column, result: applyFunction(variable.fn, value) }));
  if (variable.as === 'numeric') {
    return [1, -1].flatMap((sign) => {
      const into = mapped.flatMap(({ column, result }): Weighted[] =>
        sign * number(result) > 0 ? [[column, sign * number(result)]] : [],
      );
      return into.length > 0 ? [{ into, out: [[stream.block(variable.name).from, sign]] }] : [];
    });
  }
  return [...Map.groupBy(mapped, ({ result }) => result)].map(([result, from]) => ({
    into: from.map(({ column }): Weighted => [column, 1]),
    out: [written(stream, variable.name, result)],
  }));
}

/** One unit per pair of values: relu(left + right − one) is 1 where both are there. Pairs that write 0 need none. */
function pairs(stream: StreamBlocks, variable: Extract<RaspVariable, { kind: 'sequence_map' }>): MlpUnit[] {
  return stream.columns(variable.left).flatMap(({ column: left, value: a }) =>
    stream.columns(variable.right).flatMap(({ column: right, value: b }): MlpUnit[] => {
      const out = written(stream, variable.name, applyPair(variable.fn, a, b));
      if (out[1] === 0) return [];
      return [
        {
          into: [
            [left, 1],
            [right, 1],
            [stream.one, -1],
          ],
          out: [out],
        },
      ];
    }),
  );
}

/** A number through ReLU: its positive and its negative part. */
function signed(stream: StreamBlocks, from: string, to: string, weight: number): MlpUnit[] {
  return [1, -1].map((sign) => ({
    into: [[stream.block(from).from, sign]],
    out: [[stream.block(to).from, sign * weight]],
  }));
}

/** A number on one side of a value: a step for yes, what is left of `one` for no. */
function threshold(stream: StreamBlocks, { name, of, fn }: Extract<RaspVariable, { kind: 'map' }>): MlpUnit[] {
  // Numbers are mapped by nothing else; `inferValues` has seen to that.
  if (fn.kind !== 'less_than' && fn.kind !== 'greater_than') return [];
  const sign = fn.kind === 'greater_than' ? 1 : -1;
  const yes = written(stream, name, true);
  const no = written(stream, name, false);
  // The step lies between 0.01 and 0.02 beyond the value, so that rounding at the value itself does not climb it.
  return [
    ...step(stream, stream.block(of).from, { at: sign * fn.value + 2 / STEEP, steep: STEEP, sign }, [
      yes,
      [no[0], -no[1]],
    ]),
    {
      into: [
        [stream.one, 1],
        [stream.bos, -1],
      ],
      out: [no],
    },
  ];
}

/** From 1/(1 + width) to one column per width: at most w but not at most w − 1. */
function widthOf(stream: StreamBlocks, name: string): MlpUnit[] {
  const columns = stream.columns(name);
  return columns.flatMap(({ column }, width) => {
    const gap = 1 / (1 + width) - 1 / (2 + width);
    const steep = Math.max(STEEP, 2 / gap);
    // The step stands in the middle between this width's number and the next one's.
    const at = 1 / (2 + width) + gap / 2 + 1 / (2 * steep);
    const next = columns[width + 1];
    return step(stream, stream.share(name), { at, steep, sign: 1 }, [
      [column, 1],
      ...(next ? [[next.column, -1] as const] : []),
    ]);
  });
}

interface Step {
  readonly at: number;
  readonly steep: number;
  readonly sign: 1 | -1;
}

/** 0 while sign·x < at − 1/steep, 1 from `at` on: relu(s(x − at) + 1) − relu(s(x − at)). Nothing at BOS. */
function step(stream: StreamBlocks, x: number, { at, steep, sign }: Step, out: readonly Weighted[]): MlpUnit[] {
  const into = (shift: number): Weighted[] => [
    [x, sign * steep],
    [stream.one, shift - steep * at],
    [stream.bos, -4 * steep],
  ];
  return [
    { into: into(1), out },
    { into: into(0), out: out.map(([column, weight]) => [column, -weight]) },
  ];
}
