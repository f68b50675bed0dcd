import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NativeAddon, NativeStoreHandle } from '../kernels/index.ts';
import { nativeExecutor, type Program, type Weight } from '../plan/index.ts';
import type { Contender, Prepared } from './contender.ts';
import { asBf16, benchData, benchEntries } from './data.ts';
import type { BenchOperation, OutputRow } from './operation.ts';
import { indices } from './operations.ts';

type Arrays = { [name: string]: Float32Array | Int32Array };

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** One step whose inputs and outputs have slots of their own. */
export function programOf(operation: BenchOperation): Program {
  const { inputs, outputs, weights, kernel, attrs } = operation;
  const params = weights.filter((weight) => weight !== null).map(({ name }) => name);
  const values = [
    ...inputs.map(({ shape, below }) => ({ shape: [...shape], dtype: below === undefined ? 'f32' : 'i32' }) as const),
    ...outputs.filter((output) => output !== null),
  ].map(({ shape, dtype }, slot) => ({ shape, dtype, slot }));
  let next = inputs.length;
  const out = outputs.map((output) => (output ? next++ : -1));
  return {
    version: 1,
    values,
    slots: values.length,
    inputs: inputs.map(({ name }, value) => ({ name, value })),
    params,
    steps: [
      {
        kernel,
        in: kernel === 'attention' ? [0, 1, 2, -1] : inputs.map((_, value) => value),
        out,
        params: weights.map((weight) => (weight ? params.indexOf(weight.name) : -1)),
        attrs,
      },
    ],
    outputs: out.filter((value) => value >= 0).map((value, at) => ({ name: `out${at}`, value })),
  };
}

function inputsOf(operation: BenchOperation): Arrays {
  const arrays: Arrays = {};
  for (const input of operation.inputs) {
    const { entries = 'uniform', shape, stream } = input;
    arrays[input.name] =
      input.below === undefined ? benchEntries(entries, size(shape), stream, shape.at(-1) ?? 1) : indices(input);
  }
  return arrays;
}

function outputsOf(operation: BenchOperation): Arrays {
  const arrays: Arrays = {};
  operation.outputs
    .filter((output) => output !== null)
    .forEach(({ shape, dtype }, at) => {
      arrays[`out${at}`] = dtype === 'i32' ? new Int32Array(size(shape)) : new Float32Array(size(shape));
    });
  return arrays;
}

/** Files for weights in bf16, which a store only maps. */
class Files {
  readonly #paths: string[] = [];

  write(bits: Uint16Array): string {
    const path = join(tmpdir(), `circuitscope-bench-${process.pid}-${Files.#next++}.bf16`);
    writeFileSync(path, bits);
    this.#paths.push(path);
    return path;
  }

  remove(): void {
    for (const path of this.#paths) rmSync(path, { force: true });
  }

  static #next = 0;
}

function define(store: NativeStoreHandle, operation: BenchOperation, files: Files): void {
  for (const weight of operation.weights) {
    if (!weight) continue;
    const shape = [...weight.shape];
    const strides = shape.map((_, axis) => size(shape.slice(axis + 1)));
    const data = benchData(size(shape), weight.stream);
    if (weight.dtype === 'bf16') {
      const { bits } = asBf16(data);
      const file = store.mapFile(files.write(bits), bits.byteLength);
      store.defineMapped(weight.name, file, 0, 'bf16', 0, shape, strides);
    } else store.defineOwned(weight.name, data, shape, strides);
  }
}

function rowsOf(operation: BenchOperation, outputs: Arrays, rows: readonly number[]): readonly OutputRow[] {
  const length = operation.rowLength;
  return rows.map((row) => {
    const cut = (name: string) => outputs[name]?.slice(row * length, (row + 1) * length);
    const indices = operation.family === 'project' ? cut('out1') : undefined;
    return { row, values: cut('out0') ?? [], ...(indices ? { indices } : {}) };
  });
}

/** The kernel alone, timed inside the addon: output and working memory are those of the run before. */
export function ownKernel(addon: NativeAddon, packing: 'inside' | 'before'): Contender {
  return {
    ...addonContender(addon, packing),
    name: packing === 'inside' ? 'circuitscope, packing' : 'circuitscope',
    plays: ({ packings }) => packing === 'before' || packings.includes('inside'),
  };
}

/** What the processor must say of itself for a screen to be more than a detour. */
const screenFlags = { bf16: 'avx512_bf16', int8: 'avx512_vnni' } as const;

/** The same projections with a first look in few bits, which changes no bit of what comes out. */
export function ownScreened(addon: NativeAddon, screen: 'bf16' | 'int8', flags: readonly string[]): Contender {
  const contender = addonContender(addon, 'before');
  const isFast = contender.settings.isa === 'avx512' && flags.includes(screenFlags[screen]);
  return {
    ...contender,
    name: `circuitscope, ${screen} screen`,
    settings: { ...contender.settings, screen },
    plays: ({ family }) => isFast && family === 'project',
    prepare: (operation, setting) =>
      contender.prepare({ ...operation, attrs: { ...operation.attrs, screen } }, setting),
  };
}

function addonContender(addon: NativeAddon, packing: 'inside' | 'before'): Omit<Contender, 'name' | 'plays'> {
  const { version, isa } = addon.info();
  return {
    version,
    settings: { isa, timed: 'inside the addon' },
    output: 'reused',
    packing,
    async prepare(operation, { threads, regime, coldBytes }): Promise<Prepared> {
      const files = new Files();
      const store = new addon.NativeStore();
      try {
        define(store, operation, files);
        const program = new addon.NativeProgram(JSON.stringify(programOf(operation)));
        const call = addon.timed(program, store, {}, inputsOf(operation), { threads });
        return {
          async block(samples, warmUp, signal) {
            signal.throwIfAborted();
            const run = new addon.NativeRun();
            const cancel = (): void => run.cancel();
            signal.addEventListener('abort', cancel, { once: true });
            try {
              const timing = {
                warmUp,
                samples,
                coldBytes: regime === 'cold' ? coldBytes : 0,
                repack: packing === 'inside',
              };
              return await call.measure(timing, run);
            } finally {
              signal.removeEventListener('abort', cancel);
            }
          },
          async rows(rows) {
            const outputs = outputsOf(operation);
            call.read(outputs);
            return rowsOf(operation, outputs, rows);
          },
          release() {
            call.release();
            files.remove();
          },
        };
      } catch (error) {
        files.remove();
        throw error;
      }
    },
  };
}

/** As a program of the library is run: inputs copied in, a fresh arena, outputs copied out, one await. */
export function ownPublic(addon: NativeAddon): Contender {
  const { version, isa } = addon.info();
  const executor = nativeExecutor(addon);
  return {
    name: 'circuitscope from TypeScript',
    version,
    settings: { isa, timed: 'around the call' },
    output: 'fresh',
    packing: 'before',
    // Without weights the executor has nothing to tie its store to; walking caches over belongs to the kernel's timer.
    plays: ({ weights }, { regime }) => {
      const given = weights.filter((weight) => weight !== null);
      return regime === 'hot' && given.length > 0 && given.every(({ dtype }) => dtype === 'f32');
    },
    async prepare(operation, { threads }): Promise<Prepared> {
      const program = programOf(operation);
      const weights = new Map<string, Weight>();
      for (const weight of operation.weights) {
        if (!weight) continue;
        const { name, shape, stream } = weight;
        weights.set(name, { name, shape, read: () => benchData(size(shape), stream) });
      }
      const inputs = inputsOf(operation);
      let last: Awaited<ReturnType<typeof executor.execute>> = {};
      const once = async (signal: AbortSignal): Promise<void> => {
        last = await executor.execute(program, weights, { sizes: {}, inputs }, { threads, signal });
      };
      return {
        async block(samples, warmUp, signal) {
          for (let at = 0; at < warmUp; at++) await once(signal);
          const times: number[] = [];
          for (let at = 0; at < samples; at++) {
            const start = performance.now();
            await once(signal);
            times.push((performance.now() - start) * 1e6);
          }
          return times;
        },
        async rows(rows) {
          const outputs: Arrays = {};
          for (const [name, array] of Object.entries(last))
            outputs[name] = array instanceof Float64Array ? Float32Array.from(array) : array;
          return rowsOf(operation, outputs, rows);
        },
        release() {},
      };
    },
  };
}
