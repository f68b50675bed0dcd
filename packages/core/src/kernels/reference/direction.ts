import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { badShape, flagAttr, input, optionalInput, optionalIntInput, outShape, wordAttr } from './call-reader.ts';
import { treeDot } from './fixed-tree.ts';
import { coefficients, innerSizes, maskTest } from './inner-sizes.ts';

/**
 * Acts along a unit direction u on every vector [n3] whose masks hold: project_out x − (x·u)u, steer x + c·u,
 * clamp x + (c − x·u)u, so that the projection becomes c. Dot by the fixed tree, then a fused step per entry; c is
 * coef[r], 1 if left out. u is one vector, or with `perRow` one for each row; it is used as given, so a direction that
 * is not of unit length is the caller's mistake. Bounded: u·((⌈n/32⌉ + 8)·Σ|x·u| + 2|c|)·|u_i| + 2u·(|x| + |out|).
 */
export const direction: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const dir = input(call, 1);
  const { rows, n1, n2, n3 } = innerSizes(call, x);
  const perRow = call.attrs.perRow === undefined ? false : flagAttr(call, 'perRow');
  if (dir.data.length !== (perRow ? rows : 1) * n3) throw badShape(call, 'dir', perRow ? [rows, n3] : [n3], dir.shape);
  const op = wordAttr(call, 'op', ['project_out', 'steer', 'clamp']);
  const inA = maskTest(call, 'maskA', optionalIntInput(call, 2), rows, n1);
  const inB = maskTest(call, 'maskB', optionalIntInput(call, 3), rows, n2);
  const coef = coefficients(call, optionalInput(call, 4), rows);
  const out = make(outShape(call, 0, x.shape));
  const arithmetic = arithmeticOf(out.data);
  const { round, fma } = arithmetic;
  out.data.set(x.data);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < n1 * n2; at++) {
      if (!inA(row, Math.floor(at / n2)) || !inB(row, at % n2)) continue;
      const start = (row * n1 * n2 + at) * n3;
      const unit = { data: dir.data, start: perRow ? row * n3 : 0 };
      const along = op === 'steer' ? 0 : treeDot({ data: x.data, start }, unit, n3, arithmetic);
      const amount = op === 'steer' ? coef(row) : op === 'project_out' ? -along : round(coef(row) - along);
      for (let i = 0; i < n3; i++) out.data[start + i] = fma(amount, dir.data[unit.start + i]!, x.data[start + i]!);
    }
  }
  return [out];
};
