import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, KernelName, ReferenceKernel } from '../contract.ts';
import { activation } from './activation.ts';
import { addGated } from './add-gated.ts';
import { badShape, input, param, rowsAndWidth } from './call-reader.ts';
import { linear } from './linear.ts';
import { mul } from './mul.ts';

/** Its parts over all tokens, one after the other: linear, activation, linear, mul, linear, add_gated. Bounded as they are. */
export const expert: ReferenceKernel = (call, make) => {
  const read = input(call, 1);
  const { rows, width } = rowsAndWidth(read.shape);
  const [gate, into, out] = [param(call, 0), param(call, 1), param(call, 2)];
  const inner = gate.shape[1] ?? 0;
  if (gate.shape[0] !== width || into.shape.join() !== gate.shape.join())
    throw badShape(call, 'W_gate and W_in', [width, inner], gate.shape);
  if (out.shape[0] !== inner) throw badShape(call, 'W_out', [inner, null], out.shape);
  const part = (kernel: KernelName, run: ReferenceKernel, given: Partial<KernelCall>): Tensor => {
    const [made] = run({ kernel, inputs: [], params: [], attrs: {}, outShapes: [], wanted: [true], ...given }, make);
    if (made && !(made.data instanceof Int32Array)) return { shape: made.shape, data: made.data };
    throw badShape(call, kernel, [rows, null], []);
  };
  const times = (x: Tensor, w: Tensor): Tensor =>
    part('linear', linear, { inputs: [x], params: [w, null], outShapes: [[...x.shape.slice(0, -1), w.shape[1] ?? 0]] });
  const active = part('activation', activation, { inputs: [times(read, gate)], attrs: { fn: call.attrs.fn ?? null } });
  const hidden = part('mul', mul, { inputs: [active, times(read, into)] });
  const inputs = [call.inputs[0] ?? null, times(hidden, out), call.inputs[2] ?? null];
  return addGated(
    { ...call, kernel: 'add_gated', inputs, params: [], attrs: { expert: call.attrs.expert ?? null } },
    make,
  );
};
