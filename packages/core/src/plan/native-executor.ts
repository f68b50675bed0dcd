import { CircuitscopeError } from '@circuitscope/schema';
import type { KernelValue, NativeAddon, NativeInfo, NativeProgramHandle, NativeStoreHandle } from '../kernels/index.ts';
import type { Floats } from '../tensor/index.ts';
import { defineFolded } from './define-folded.ts';
import type { ExecuteOptions, Executor } from './executor.ts';
import { boundShape, type Program, programBytes, type Sizes } from './program.ts';
import { checkLength, checkMemory } from './reference-executor.ts';
import type { Weight, Weights } from './weights.ts';

// One awaited call per program. The addon maps weight files by itself and packs each matrix once per store; stores belong
// to a `Weights` value and are freed with it.

type Arrays = { [name: string]: Floats | Int32Array };

interface Store {
  readonly handle: NativeStoreHandle;
  readonly files: Map<string, number>;
  /** Version of each weight that the addon holds. */
  readonly defined: Map<string, number>;
}

export function nativeExecutor(addon: NativeAddon): Executor {
  const stores = new WeakMap<Weight, Store>();
  const programs = new WeakMap<Program, NativeProgramHandle>();
  const info = describe(addon);
  const withoutWeights: Store = { handle: new addon.NativeStore(), files: new Map(), defined: new Map() };

  /** Weights with edits share their unedited entries, and so the store, with the model they come from. */
  const storeFor = (weights: Weights): Store => {
    const anchor = weights.values().next().value;
    if (!anchor) return withoutWeights;
    let store = stores.get(anchor);
    if (!store) {
      store = { handle: new addon.NativeStore(), files: new Map(), defined: new Map() };
      stores.set(anchor, store);
    }
    return store;
  };

  const define = (store: Store, weight: Weight): void => {
    const version = weight.version?.() ?? 0;
    if (store.defined.get(weight.name) === version) return;
    const mapping = weight.mapping;
    if (mapping) {
      let file = store.files.get(mapping.path);
      if (file === undefined) {
        file = store.handle.mapFile(mapping.path, mapping.fileBytes);
        store.files.set(mapping.path, file);
      }
      store.handle.defineMapped(
        weight.name,
        file,
        mapping.byteOffset,
        mapping.dtype,
        mapping.offset,
        [...weight.shape],
        [...mapping.strides],
      );
    } else if (!defineFolded(weight, store.handle, (stored) => define(store, stored))) {
      const data = weight.readRounded?.() ?? weight.read();
      const shape = [...weight.shape];
      const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
      store.handle.defineOwned(
        weight.name,
        data instanceof Float32Array ? data : Float32Array.from(data),
        shape,
        strides,
      );
    }
    store.defined.set(weight.name, version);
  };

  return {
    info: { kind: 'native', path: info.isa, threads: info.threads, cpu: info.cpu },
    adamw: ({ data, gradient, first, second }, factors) => addon.adamw(gradient, data, first, second, factors),
    async execute(program, weights, { sizes, inputs }, options = {}) {
      checkMemory(program, sizes, options);
      // From here until the addon has bound the call nothing waits: another run may define weights of the same names.
      await collectBefore(program, sizes);
      const store = storeFor(weights);
      const edited: string[] = [];
      for (const name of program.params) {
        const weight = weights.get(name);
        if (!weight) throw new CircuitscopeError('unknown_param', `This model has no weight ${name}.`, { at: name });
        if (name.includes('#') && !store.defined.has(name)) edited.push(name);
        define(store, weight);
      }
      let handle = programs.get(program);
      if (!handle) {
        handle = new addon.NativeProgram(JSON.stringify(program));
        programs.set(program, handle);
      }
      const given: Arrays = {};
      for (const { name, value } of program.inputs) {
        const data = inputs[name];
        if (!data) throw new CircuitscopeError('bad_input', `The program needs the input ${name}.`, { at: name });
        checkLength(name, data.length, boundShape(program.values[value]?.shape ?? [], sizes));
        given[name] = data instanceof Int32Array ? data : asType(data, program.values[value]?.dtype);
      }
      try {
        return await observed(addon, handle, store.handle, program, sizes, given, options);
      } finally {
        for (const name of edited) {
          store.handle.remove(name);
          store.defined.delete(name);
        }
      }
    },
  };
}

/** Outputs of so many bytes are worth a look for those of earlier runs. */
const COLLECTED = 128 << 20;

/**
 * Lets go of large results that nobody holds any more before new ones are made: the runtime does not hurry, as it sees
 * little of the memory that they hold.
 */
async function collectBefore(program: Program, sizes: Sizes): Promise<void> {
  const bytes = program.outputs.reduce(
    (sum, { value }) => sum + 4 * boundShape(program.values[value]?.shape ?? [], sizes).reduce((a, b) => a * b, 1),
    0,
  );
  const { Bun: runtime }: { readonly Bun?: { gc(now: boolean): void } } = globalThis;
  if (bytes < COLLECTED || !runtime) return;
  runtime.gc(true);
  // The runtime gives memory back between two turns of its loop.
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/** A program says how wide its floats are. */
function asType(data: Floats, dtype: KernelValue['dtype'] | undefined): Floats {
  if (dtype === 'f64') return data instanceof Float64Array ? data : Float64Array.from(data);
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

async function observed(
  addon: NativeAddon,
  handle: NativeProgramHandle,
  store: NativeStoreHandle,
  program: Program,
  sizes: Sizes,
  inputs: Arrays,
  options: ExecuteOptions,
): Promise<Arrays> {
  options.signal?.throwIfAborted();
  const run = new addon.NativeRun();
  const cancel = (): void => run.cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  const steps = Math.max(program.steps.length, 1);
  const timer = options.onProgress ? setInterval(() => options.onProgress?.(run.progress() / steps), 50) : undefined;
  try {
    const limits = {
      ...(options.threads ? { threads: options.threads } : {}),
      memoryBytes: options.memoryBytes ?? programBytes(program, sizes),
    };
    const wanted = [...new Set(program.outputs.map(({ name }) => name))];
    return await addon.execute(handle, store, { ...sizes }, inputs, wanted, limits, run);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? new CircuitscopeError(error.code, error.message, { cause: error })
      : error;
  } finally {
    clearInterval(timer);
    options.signal?.removeEventListener('abort', cancel);
  }
}

/** A CIRCUITSCOPE_ISA that this machine has not is a mistake to report, never a reason to take another path. */
function describe(addon: NativeAddon): NativeInfo {
  try {
    return addon.info();
  } catch (error) {
    throw new CircuitscopeError('bad_environment', error instanceof Error ? error.message : String(error), {
      at: 'CIRCUITSCOPE_ISA',
      cause: error,
    });
  }
}
