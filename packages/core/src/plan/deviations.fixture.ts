import { type KernelCall, type KernelName, runReference } from '../kernels/index.ts';
import { Draw } from '../kernels/properties/draw.ts';
import { properties } from '../kernels/properties/index.ts';
import type { Executor } from './executor.ts';
import { runKernel } from './run-kernel.ts';

/** For tests alone: what the call of this number of a kernel gives that it must not; empty is a pass. */
export async function deviations(executor: Executor, name: KernelName, at: number): Promise<string[]> {
  const { inputs, params = [], attrs = {}, out, allowed, law } = properties[name](new Draw(name, at));
  const call: KernelCall = { kernel: name, inputs, params, attrs, outShapes: out, wanted: out.map(() => true) };
  const got = await runKernel(executor, call);
  const exact = allowed === 'exact';
  const truth = allowed === 'law' ? [] : runReference(call, exact ? 'f32' : 'f64');
  const room = typeof allowed === 'string' ? [] : allowed(call, truth);
  const found: string[] = [];
  truth.forEach((value, index) => {
    if (!value || found.length > 2) return;
    const have = got[index]?.data;
    if (have?.length !== value.data.length) {
      found.push(`output ${index} has ${have?.length} entries, not ${value.data.length}`);
      return;
    }
    for (let i = 0; i < value.data.length; i++) {
      const [a, b] = [have[i] as number, value.data[i] as number];
      const most = room[index]?.[i] ?? 0;
      const good =
        Number.isFinite(b) && most > 0 ? Math.abs(a - b) <= most : Object.is(a, b) || (most === 0 && !exact && a === b);
      if (good) continue;
      found.push(`output ${index} [${i}] is ${a}, not ${b}; ${most} is allowed`);
      return;
    }
  });
  return law
    ? [
        ...found,
        ...law(
          call,
          got.map((value) => Float64Array.from(value?.data ?? [])),
        ),
      ]
    : found;
}
