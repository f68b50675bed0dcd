import { intTensor, tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { assign as solved } from './assignment.ts';
import { badShape, expectShape, input, outShape } from './call-reader.ts';
import type { Dense } from './dense.ts';
import { eigenvalues as found } from './eigenvalues.ts';
import { orthogonalTriangular } from './orthogonal-triangular.ts';
import { singularValues } from './singular-values.ts';
import { symmetricEigen as decomposed } from './symmetric-eigen.ts';

// The kernels that decompose matrices of float64, whatever the precision of the run; README.md has their bounds.

function matrixOf(call: KernelCall, name: string, square: boolean): Dense {
  const { shape, data } = input(call, 0);
  expectShape(call, name, shape, [null, null]);
  const [rows = 0, columns = 0] = shape;
  if (square && rows !== columns) throw badShape(call, name, [rows, rows], shape);
  return { rows, columns, data: Float64Array.from(data) };
}

export const svd: ReferenceKernel = (call) => {
  const a = matrixOf(call, 'a', false);
  const r = Math.min(a.rows, a.columns);
  const shapes = [outShape(call, 0, [a.rows, r]), outShape(call, 1, [r]), outShape(call, 2, [a.columns, r])] as const;
  const { left, values, right } = singularValues(a);
  return [tensor(shapes[0], left.data), tensor(shapes[1], values), tensor(shapes[2], right.data)];
};

export const symmetricEigen: ReferenceKernel = (call) => {
  const a = matrixOf(call, 'a', true);
  const shapes = [outShape(call, 0, [a.rows]), outShape(call, 1, [a.rows, a.rows])] as const;
  const { values, vectors } = decomposed(a);
  return [tensor(shapes[0], values), tensor(shapes[1], vectors.data)];
};

export const qr: ReferenceKernel = (call) => {
  const a = matrixOf(call, 'a', false);
  const count = Math.min(a.rows, a.columns);
  const shapes = [outShape(call, 0, [a.rows, count]), outShape(call, 1, [count, a.columns])] as const;
  const { q, r } = orthogonalTriangular(a);
  return [tensor(shapes[0], q.data), tensor(shapes[1], r.data)];
};

export const eigenvalues: ReferenceKernel = (call) => {
  const a = matrixOf(call, 'a', true);
  const shapes = [outShape(call, 0, [a.rows]), outShape(call, 1, [a.rows])] as const;
  const values = found(a);
  return [
    tensor(
      shapes[0],
      Float64Array.from(values, ({ re }) => re),
    ),
    tensor(
      shapes[1],
      Float64Array.from(values, ({ im }) => im),
    ),
  ];
};

export const assign: ReferenceKernel = (call) => {
  const costs = matrixOf(call, 'costs', false);
  const shapes = [outShape(call, 0, [costs.rows]), outShape(call, 1, [1])] as const;
  const { columns, cost } = solved(costs.data, costs.rows, costs.columns);
  return [intTensor(shapes[0], Int32Array.from(columns)), tensor(shapes[1], Float64Array.of(cost))];
};
