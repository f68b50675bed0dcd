import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type KernelAttributes, type KernelCall, runReference } from '../kernels/index.ts';
import { type IntTensor, isIntTensor, Rng, type Tensor } from '../tensor/index.ts';
import { type OperationName, operations, type Reach, reachOf } from './operations.ts';
import { visionOperations } from './vision-operations.ts';

// Sweeps trust `reach`. Here one position of one input is perturbed, and the output positions that change are compared
// with those that the table allows; and what it allows does happen, so no entry is wider than it must be.

type Draw = 'normal' | 'index' | 'positive' | 'mask' | { readonly below: number };

interface Operand {
  readonly shape: readonly number[];
  readonly draw?: Draw;
  /** The axis of positions; absent where the input has none. */
  readonly axis?: number;
}

interface Row {
  readonly op: OperationName;
  readonly attrs?: KernelAttributes;
  readonly inputs: readonly (Operand | null)[];
  readonly params?: readonly (readonly number[] | null)[];
  readonly out: readonly (readonly number[])[];
  readonly axis: number;
  /** How far an input may reach at most, in positions. */
  readonly within?: number;
}

const [rows, pos, heads, kvHeads, width, model] = [2, 5, 4, 2, 6, 7];
const stream: Operand = { shape: [rows, pos, model], axis: 1 };
const perHead: Operand = { shape: [rows, pos, heads, width], axis: 1 };
const grouped: Operand = { shape: [rows, pos, kvHeads, width], axis: 1 };
const pattern: Operand = { shape: [rows, heads, pos, pos], axis: 2 };
const index = (shape: readonly number[], below: number): Operand => ({ shape, draw: { below } });
const tokens: Operand = { ...index([rows, pos], 9), axis: 1 };
const realTokens: Operand = { shape: [rows, pos], draw: 'mask', axis: 1 };
const positive: Operand = { shape: [rows, pos, model], draw: 'positive', axis: 1 };
/** Whole numbers, but as floats: 1.5·x² + 0.25 is none. */
const choice: Operand = { shape: [rows, pos, 2], draw: 'index', axis: 1 };
const normScale: Operand = { shape: [rows, pos, 1], draw: 'positive', axis: 1 };
const results: Operand = { shape: [rows, pos, heads, model], axis: 1 };
const inner = { dims: [pos, 1, model] };
const pointwise = { out: [stream.shape], axis: 1 };

const table: readonly Row[] = [
  { op: 'embed', inputs: [tokens], params: [[9, model]], ...pointwise },
  { op: 'sum', inputs: [stream, stream, stream], ...pointwise },
  { op: 'subtract', inputs: [stream, stream], ...pointwise },
  { op: 'mul', inputs: [stream, stream], ...pointwise },
  { op: 'norm_scale', attrs: { kind: 'layer', eps: 1e-5 }, inputs: [stream], out: [[rows, pos, 1]], axis: 1 },
  {
    op: 'normalize',
    attrs: { kind: 'layer' },
    inputs: [stream, { shape: [rows, pos, 1], draw: 'positive', axis: 1 }],
    ...pointwise,
  },
  { op: 'affine', inputs: [stream], params: [[model], [model]], ...pointwise },
  {
    op: 'linear',
    inputs: [stream],
    params: [[model, heads * width], [heads * width]],
    out: [perHead.shape],
    axis: 1,
  },
  {
    op: 'head_linear',
    inputs: [{ shape: [rows, pos, heads, model], axis: 1 }],
    params: [[model, heads * width], [heads * width]],
    out: [perHead.shape],
    axis: 1,
  },
  {
    op: 'head_result',
    inputs: [perHead],
    params: [[heads * width, model]],
    out: [[rows, pos, heads, model]],
    axis: 1,
  },
  { op: 'head_result', attrs: { head: 2 }, inputs: [perHead], params: [[heads * width, model]], ...pointwise },
  {
    op: 'rotary',
    attrs: { layout: 'half', dims: width },
    inputs: [perHead, { ...index([rows, pos], 9), axis: 1 }],
    params: [[(9 * width) / 2], [(9 * width) / 2]],
    out: [perHead.shape],
    axis: 1,
  },
  {
    op: 'rotate',
    attrs: { layout: 'half' },
    inputs: [perHead, { shape: [rows, pos, width / 2], axis: 1 }, { shape: [rows, pos, width / 2], axis: 1 }],
    out: [perHead.shape],
    axis: 1,
  },
  { op: 'reshape', inputs: [perHead], out: [[rows, pos, heads * width]], axis: 1 },
  ...[true, false].map(
    (causal): Row => ({
      op: 'scores',
      attrs: { scale: 0.5, causal },
      inputs: [perHead, grouped, realTokens],
      out: [pattern.shape],
      axis: 2,
    }),
  ),
  ...[true, false].map(
    (causal): Row => ({
      op: 'scores',
      attrs: { scale: 0.5, causal, window: 3 },
      inputs: [perHead, grouped, realTokens],
      out: [pattern.shape],
      axis: 2,
      within: 3,
    }),
  ),
  { op: 'softmax', inputs: [pattern], out: [pattern.shape], axis: 2 },
  { op: 'mix', inputs: [pattern, grouped], out: [perHead.shape], axis: 1 },
  { op: 'activation', attrs: { fn: 'gelu_tanh' }, inputs: [stream], ...pointwise },
  { op: 'repeat', inputs: [stream], out: [[2 * rows, pos, model]], axis: 1 },
  { op: 'gather_rows', inputs: [stream, index([rows, 3], pos)], out: [[rows, 3, model]], axis: 1 },
  { op: 'concat_positions', inputs: [grouped, grouped], out: [[rows, 2 * pos, kvHeads, width]], axis: 1 },
  {
    op: 'add_bias',
    inputs: [pattern, index([pos, pos], 6)],
    params: [[6, heads]],
    out: [pattern.shape],
    axis: 2,
  },
  { op: 'add_alibi', inputs: [pattern, index([rows, pos], 9)], params: [[heads]], out: [pattern.shape], axis: 2 },
  { op: 'soft_cap', attrs: { cap: 1.5 }, inputs: [pattern], out: [pattern.shape], axis: 2 },
  { op: 'soft_cap_grad', attrs: { cap: 9 }, inputs: [pattern, pattern], out: [pattern.shape], axis: 2 },
  { op: 'columns', inputs: [stream, index([rows, 2], 9)], params: [[model, 9], null], out: [[rows, pos, 2]], axis: 1 },
  { op: 'cross_entropy', inputs: [stream, { ...index([rows, pos], model), axis: 1 }], out: [[rows, pos]], axis: 1 },
  {
    op: 'vocab_statistics',
    attrs: { k: 0 },
    inputs: [stream, { ...index([rows, pos], 9), axis: 1 }, stream],
    params: [[model, 9], null],
    out: [
      [rows, pos, 5],
      [rows, pos, 0],
      [rows, pos, 0],
    ],
    axis: 1,
  },
  {
    op: 'top_k',
    attrs: { k: 2 },
    inputs: [stream],
    out: [
      [rows, pos, 2],
      [rows, pos, 2],
    ],
    axis: 1,
  },
  {
    op: 'active_top_k',
    attrs: { k: 2 },
    inputs: [stream],
    out: [
      [rows, pos, 2],
      [rows, pos, 2],
      [rows, pos],
    ],
    axis: 1,
  },
  {
    op: 'edit',
    attrs: { op: 'add', valueShape: 'rows', constant: 1, ...inner },
    inputs: [stream, stream, { shape: [rows, pos], draw: 'mask', axis: 1 }, null, null, { shape: [rows] }],
    ...pointwise,
  },
  {
    op: 'direction',
    attrs: { op: 'project_out', ...inner },
    inputs: [stream, { shape: [model] }, { shape: [rows, pos], draw: 'mask', axis: 1 }, null, null],
    ...pointwise,
  },
  {
    op: 'edge_read',
    attrs: { heads },
    inputs: [stream, stream, stream, { shape: [rows, heads, 2] }],
    out: [[rows, pos, heads, model]],
    axis: 1,
  },
  { op: 'project_dot', inputs: [stream, { shape: [model] }], out: [[rows, pos]], axis: 1 },
  { op: 'mix_transposed', inputs: [pattern, perHead], out: [grouped.shape], axis: 1 },
  { op: 'jump_relu', inputs: [stream], params: [[model]], ...pointwise },
  { op: 'top_k_mask', attrs: { k: 3 }, inputs: [stream], ...pointwise },
  { op: 'route', inputs: [positive, choice], ...pointwise },
  { op: 'route_grad', inputs: [positive, positive, stream], ...pointwise },
  { op: 'choices', attrs: { k: model }, inputs: [stream], ...pointwise },
  { op: 'add_gated', attrs: { expert: 1 }, inputs: [stream, stream, positive], ...pointwise },
  { op: 'gate_grad', attrs: { expert: 1, experts: model }, inputs: [stream, stream], ...pointwise },
  { op: 'where_nonzero', inputs: [stream, stream], ...pointwise },
  { op: 'scale', attrs: { factor: -0.5 }, inputs: [stream], ...pointwise },
  { op: 'activation_grad', attrs: { fn: 'gelu_tanh' }, inputs: [stream, stream], ...pointwise },
  { op: 'normalize_grad', attrs: { kind: 'layer' }, inputs: [normScale, stream], ...pointwise },
  {
    op: 'normalize_grad_scale',
    attrs: { kind: 'layer' },
    inputs: [stream, normScale, stream],
    out: [[rows, pos, 1]],
    axis: 1,
  },
  {
    op: 'norm_scale_grad',
    attrs: { kind: 'layer' },
    inputs: [stream, normScale, { shape: [rows, pos, 1], axis: 1 }],
    ...pointwise,
  },
  { op: 'norm_grad', attrs: { kind: 'layer' }, inputs: [stream, normScale, stream], params: [[model]], ...pointwise },
  { op: 'softmax_grad', inputs: [pattern, pattern], out: [pattern.shape], axis: 2 },
  { op: 'head_result_grad', inputs: [results], params: [[heads * width, model]], out: [perHead.shape], axis: 1 },
  { op: 'scatter_rows', inputs: [{ shape: [rows, pos, model], axis: 1 }, index([rows, pos], pos)], ...pointwise },
  {
    op: 'columns_grad',
    inputs: [{ shape: [rows, pos, 2], axis: 1 }, index([rows, 2], 9)],
    params: [[model, 9]],
    ...pointwise,
  },
  {
    op: 'cross_entropy_grad',
    inputs: [stream, { ...index([rows, pos], model), axis: 1 }, { shape: [rows, pos], axis: 1 }],
    ...pointwise,
  },
  { op: 'edge_read_grad', attrs: { heads, delta: 1 }, inputs: [results, { shape: [rows, heads, 2] }], ...pointwise },
  { op: 'outer', inputs: [{ shape: [rows, pos], axis: 1 }, { shape: [model] }], ...pointwise },
];

test('every operation that computes is in the list', () => {
  const made = new Set<string>(['input', 'external']);
  // Images have no positions, and what reads them may read all: nothing to find out.
  for (const [name, { reach }] of Object.entries(visionOperations)) {
    expect(reach, name).toBe('all');
    made.add(name);
  }
  // Sums over positions have none.
  made.add('pair_dots');
  // Sparse rows lie where there is room.
  made.add('active_csr');
  for (const [name, { shape }] of Object.entries(operations)) if (shape === operations.column_sum.shape) made.add(name);
  expect(new Set(table.map(({ op }) => op))).toEqual(
    new Set(Object.keys(operations).filter((name) => !made.has(name))),
  );
});

describe('what one position of an input changes', () => {
  for (const row of table) {
    const window = row.within === undefined ? '' : `, window ${row.within}`;
    const name = row.attrs?.causal === undefined ? row.op : `${row.op}, causal ${row.attrs.causal}${window}`;
    test(`${name}: ${reachOf(row.op, row.attrs ?? {})}`, () => {
      const reach = reachOf(row.op, row.attrs ?? {});
      const seen = new Set<string>();
      fc.assert(
        fc.property(fc.nat(1_000_000), fc.nat(pos - 1), (seed, at) => {
          for (const [input, operand] of row.inputs.entries()) {
            if (operand?.axis === undefined) continue;
            for (const changed of changedPositions(row, seed, input, at)) {
              expect(allows(reach, at, changed), `input ${input}, position ${at} changed ${changed}`).toBe(true);
              expect(Math.abs(changed - at)).toBeLessThan(row.within ?? Number.POSITIVE_INFINITY);
              seen.add(changed === at ? 'same' : changed > at ? 'later' : 'earlier');
            }
          }
        }),
        { numRuns: 40 },
      );
      const most = { pointwise: ['same'], causal: ['same', 'later'], all: ['same', 'later', 'earlier'] };
      expect(seen).toEqual(new Set(most[reach]));
    });
  }
});

function allows(reach: Reach, from: number, to: number): boolean {
  return reach === 'all' || to === from || (reach === 'causal' && to > from);
}

function changedPositions(row: Row, seed: number, input: number, at: number): number[] {
  const rng = new Rng(seed, 'reach');
  const inputs = row.inputs.map((operand) =>
    operand ? drawTensor(rng, operand.shape, operand.draw ?? 'normal') : null,
  );
  const params = (row.params ?? []).map((shape) => (shape ? (drawTensor(rng, shape, 'normal') as Tensor) : null));
  const call: KernelCall = {
    kernel: row.op as KernelCall['kernel'],
    inputs,
    params,
    attrs: row.attrs ?? {},
    outShapes: row.out,
    wanted: row.out.map(() => true),
  };
  const before = runReference(call, 'f64');
  const operand = row.inputs[input];
  const perturbed = inputs.map((value, which) =>
    which === input && value && operand ? perturb(value, operand, at) : value,
  );
  const after = runReference({ ...call, inputs: perturbed }, 'f64');
  const changed = new Set<number>();
  before.forEach((one, which) => {
    const other = after[which];
    if (!one || !other) throw new Error('an output is missing');
    one.data.forEach((value, entry) => {
      if (!Object.is(value, other.data[entry])) changed.add(indexAlong(one.shape, row.axis, entry));
    });
  });
  return [...changed];
}

function drawTensor(rng: Rng, shape: readonly number[], draw: Draw): Tensor | IntTensor {
  const length = shape.reduce((a, b) => a * b, 1);
  if (draw === 'mask') return { shape, data: Int32Array.from({ length }, () => (rng.below(4) > 0 ? 1 : 0)) };
  if (typeof draw === 'object') return { shape, data: Int32Array.from({ length }, () => rng.below(draw.below)) };
  if (draw === 'index') return { shape, data: Float64Array.from({ length }, () => rng.below(model)) };
  const sign = draw === 'positive' ? Math.abs : (value: number) => value;
  return { shape, data: Float64Array.from({ length }, () => sign(rng.normal()) + (draw === 'positive' ? 0.1 : 0)) };
}

function perturb(value: Tensor | IntTensor, { shape, axis = 0, draw }: Operand, at: number): Tensor | IntTensor {
  const here = (entry: number): boolean => indexAlong(shape, axis, entry) === at;
  if (isIntTensor(value)) {
    const below = typeof draw === 'object' ? draw.below : 2;
    return { shape, data: value.data.map((old, entry) => (here(entry) ? (old + 1) % below : old)) };
  }
  return { shape, data: Float64Array.from(value.data, (old, entry) => (here(entry) ? 1.5 * old * old + 0.25 : old)) };
}

function indexAlong(shape: readonly number[], axis: number, entry: number): number {
  const after = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  return Math.floor(entry / after) % (shape[axis] ?? 1);
}
