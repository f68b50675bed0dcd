import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Intervention } from '@circuitscope/schema';
import type { Graph, GraphParam } from '../graph/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import { findWeight, type Weights } from './weights.ts';

// A weight edit is copy on write: the edited copy gets a name of its own, made from the edits, and only the plan that
// asks for it reads it. The model, its file and its packed panels stay as they are.

export type WeightEdit = Extract<Intervention, { kind: 'weight' }>;

export interface EditedWeights {
  readonly weights: Weights;
  readonly renamed: ReadonlyMap<string, string>;
}

export function editWeights(
  graph: Graph,
  weights: Weights,
  edits: readonly WeightEdit[],
  artefacts: ReadonlyMap<Hash, Tensor>,
): EditedWeights {
  if (edits.length === 0) return { weights, renamed: new Map() };
  const overlay = new Map(weights);
  const renamed = editedNames(edits);
  for (const [name, list] of byParam(edits)) {
    const param = graph.params.find((candidate) => candidate.name === name);
    if (!param) {
      const tied = weights.has(name) ? ' It is tied to another weight; edit that one (unembed.W_U).' : '';
      const known = graph.params
        .map((candidate) => candidate.name)
        .filter((candidate) => candidate.split('.')[0] === name.split('.')[0]);
      throw new CircuitscopeError('unknown_param', `This model computes with no weight ${name}.${tied}`, {
        at: name,
        expected: known.join(', '),
        got: name,
      });
    }
    const original = findWeight(weights, name).read();
    const data = original instanceof Float64Array ? Float64Array.from(original) : Float32Array.from(original);
    for (const edit of list) applyEdit(data, param, edit, artefacts);
    const edited = renamed.get(name) ?? name;
    overlay.set(edited, { name: edited, shape: param.shape, read: () => data });
  }
  return { weights: overlay, renamed };
}

/** Under which name each edited weight will stand. */
export function editedNames(edits: readonly WeightEdit[]): ReadonlyMap<string, string> {
  const named = [...byParam(edits)].map(([name, list]) => {
    const digest = createHash('sha256').update(canonicalJson(list)).digest('hex');
    return [name, `${name}#${digest.slice(0, 16)}`] as const;
  });
  return new Map(named);
}

function byParam(edits: readonly WeightEdit[]): ReadonlyMap<string, readonly WeightEdit[]> {
  return Map.groupBy(edits, ({ param }) => param);
}

function applyEdit(data: Floats, param: GraphParam, edit: WeightEdit, artefacts: ReadonlyMap<Hash, Tensor>): void {
  const cells = cellsOf(param, edit);
  const value = edit.value;
  let given: Floats | null = null;
  if (value.kind === 'artefact') {
    given = artefacts.get(value.hash)?.data ?? null;
    if (!given || given.length !== cells.length) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `The edit of ${param.name} covers ${cells.length} weights; its artefact ${given ? `has ${given.length}` : 'was not given'}.`,
        {
          at: param.name,
          expected: String(cells.length),
        },
      );
    }
  }
  cells.forEach((cell, index) => {
    const operand = value.kind === 'const' ? value.value : (given?.[index] ?? 0);
    const old = data[cell] ?? 0;
    data[cell] = edit.op === 'set' ? operand : edit.op === 'add' ? old + operand : old * operand;
  });
}

/** Flat indices that an edit covers, in row-major order. */
function cellsOf(param: GraphParam, edit: WeightEdit): number[] {
  const [rows, columns] =
    param.shape.length === 1 ? [1, param.shape[0] ?? 0] : [param.shape[0] ?? 0, param.shape[1] ?? 0];
  const range = (axis: 'in' | 'out', size: number, single: number | undefined, what: string): number[] => {
    const ofHead = edit.head !== undefined && param.heads?.axis === axis;
    const width = ofHead ? size / (param.heads?.count ?? 1) : size;
    const from = ofHead ? (edit.head ?? 0) * width : 0;
    if (single === undefined) return Array.from({ length: width }, (_, index) => from + index);
    if (Number.isInteger(single) && single >= 0 && single < width) return [from + single];
    throw new CircuitscopeError(
      'out_of_range',
      `${param.name} is ${rows} × ${columns}; the edit names ${what} ${single} but covers ${width}.`,
      { at: param.name, expected: `0 to ${width - 1}`, got: String(single) },
    );
  };
  if (edit.head !== undefined && (!param.heads || edit.head >= param.heads.count || edit.head < 0)) {
    throw new CircuitscopeError(
      'out_of_range',
      `${param.name} has ${param.heads?.count ?? 'no'} heads; there is no head ${edit.head}.`,
      { at: param.name },
    );
  }
  const rowList = range('in', rows, edit.row, 'row');
  const columnList = range('out', columns, edit.column, 'column');
  return rowList.flatMap((row) => columnList.map((column) => row * columns + column));
}
