import { CircuitscopeError } from '@circuitscope/schema';
import type { KernelCall } from '../contract.ts';
import { badShape, outShape } from './call-reader.ts';

/** The output [groups, …rest] of a kernel that adds rows; how many groups there are, the plan says. */
export function groupedShape(
  call: KernelCall,
  rest: readonly number[],
): { readonly groups: number; readonly shape: readonly number[] } {
  const groups = call.outShapes[0]?.[0];
  if (groups === undefined) {
    throw new CircuitscopeError('bad_shape', `${call.kernel} needs the planned shape of its output.`, {
      at: call.kernel,
    });
  }
  return { groups, shape: outShape(call, 0, [groups, ...rest]) };
}

/**
 * Rows of two inputs that go together: of one group after the other, row r of the longer with row r mod rows of the
 * shorter.
 */
export function pairedRows(
  call: KernelCall,
  groups: number,
  a: { readonly name: string; readonly rows: number },
  b: { readonly name: string; readonly rows: number },
): {
  readonly perGroup: number;
  readonly first: (group: number, at: number) => number;
  readonly second: (group: number, at: number) => number;
} {
  const rows = Math.max(a.rows, b.rows);
  if (groups === 0 ? rows > 0 : rows % groups !== 0) throw badShape(call, 'out', [groups, null], [rows]);
  const perGroup = groups === 0 ? 0 : rows / groups;
  // Whole groups, so that no group's rows begin in the middle of another's.
  const fits = (own: number): boolean => own === rows || (own > 0 && rows % own === 0 && own % perGroup === 0);
  for (const one of [a, b]) if (!fits(one.rows)) throw badShape(call, one.name, [rows, null], [one.rows]);
  const of =
    (own: number) =>
    (group: number, at: number): number =>
      (group * perGroup + at) % Math.max(own, 1);
  return { perGroup, first: of(a.rows), second: of(b.rows) };
}
