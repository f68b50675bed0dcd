import { expect, test } from 'vitest';
import { chooseNative, type KernelCall } from '../kernels/index.ts';
import { type Tensor, tensor } from '../tensor/index.ts';
import { nativeExecutor, runKernel } from './index.ts';

// Long kernels of the addon give way: timers of JavaScript go on meanwhile, and an abort ends them in the middle. How soon
// depends on the machine's other work, so that it is reported and not held to.

const choice = await chooseNative({});

function some(...shape: number[]): Tensor {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  for (let at = 0; at < data.length; at++) data[at] = ((at * 7919) % 1009) / 1009 - 0.5;
  return tensor(shape, data);
}

type Long = Pick<KernelCall, 'kernel' | 'inputs' | 'outShapes'> & Partial<KernelCall>;

const long: readonly (() => Long)[] = [
  () => ({
    kernel: 'linear',
    inputs: [some(4096, 4096), null],
    params: [some(4096, 4096), null],
    outShapes: [[4096, 4096]],
  }),
  () => ({
    kernel: 'attention',
    inputs: [some(1, 4096, 8, 64), some(1, 4096, 8, 64), some(1, 4096, 8, 64), null, null, null],
    params: [null, null],
    attrs: { scale: 0.125, causal: false },
    outShapes: [[1, 4096, 8, 64], [], []],
    wanted: [true, false, false],
  }),
  () => ({
    kernel: 'conv2d',
    inputs: [some(64, 64, 64, 64)],
    params: [some(64, 64, 3, 3), null],
    attrs: { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 },
    outShapes: [[64, 64, 64, 64]],
  }),
  () => ({
    kernel: 'bias_act_top_k',
    inputs: [some(2048, 768)],
    params: [some(768, 24576), null, null],
    attrs: { activation: 'relu', k: 32, screen: 'bf16' },
    outShapes: [[2048, 32], [2048, 32], [2048]],
  }),
  () => ({ kernel: 'gram', inputs: [some(8192, 2048), null, null], outShapes: [[2048, 2048]] }),
  () => ({
    kernel: 'correlate_top_k',
    inputs: [some(8192, 1024), some(8192, 2048), null, null],
    attrs: { k: 5, absolute: true },
    outShapes: [
      [1024, 5],
      [1024, 5],
    ],
  }),
];

for (const make of long) {
  const { kernel } = make();
  test.skipIf(choice.kind === 'missing')(
    `${kernel} is stopped in the middle while timers go on`,
    async () => {
      if (choice.kind === 'missing') return;
      const call: KernelCall = { params: [], attrs: {}, wanted: [true, true, true], ...make() };
      const controller = new AbortController();
      let ticks = 0;
      let aborted = 0;
      const timer = setInterval(() => {
        // Inputs are copied before the first tick.
        if (++ticks < 5) return;
        clearInterval(timer);
        aborted = performance.now();
        controller.abort();
      }, 2);
      const run = runKernel(nativeExecutor(choice.addon), call, { signal: controller.signal });
      await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
      // A kernel that blocked JavaScript, or that heeds no flag, would have ended before the fifth tick, and well.
      expect(ticks).toBe(5);
      process.stderr.write(`${kernel}: stopped ${(performance.now() - aborted).toFixed(1)} ms after it was asked to\n`);
    },
    60_000,
  );
}
