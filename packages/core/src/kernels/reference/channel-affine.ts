import type { ReferenceKernel } from '../contract.ts';
import { arithmeticOf } from './arithmetic.ts';
import { input, optionalVectorParam, outShape } from './call-reader.ts';

/**
 * x·w + b by the channel, axis 1: a batch norm that no longer looks at its batch. Fused (one rounding); without w: x + b,
 * without b: x·w, without both: x. Exact.
 */
export const channelAffine: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const channels = x.shape[1] ?? 0;
  const w = optionalVectorParam(call, 0, channels);
  const b = optionalVectorParam(call, 1, channels);
  const out = make(outShape(call, 0, x.shape));
  const places = x.shape.slice(2).reduce((product, size) => product * size, 1);
  const { fma } = arithmeticOf(out.data);
  for (let i = 0; i < out.data.length; i++) {
    const channel = Math.floor(i / places) % channels;
    const value = x.data[i]!;
    out.data[i] =
      w && b ? fma(value, w[channel]!, b[channel]!) : w ? value * w[channel]! : b ? value + b[channel]! : value;
  }
  return [out];
};
