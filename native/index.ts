import { createRequire } from 'node:module';

// The addon with its types. It is loaded by literal names, so that bundlers and compilers can see them; nothing is loaded
// before `loadNative` is called.

/** What this build and this machine are. */
export interface NativeInfo {
  readonly version: string;
  /** Instruction set in use: the fastest there is, or the one that `CIRCUITSCOPE_ISA` names. */
  readonly isa: string;
  readonly isas: readonly string[];
  /** Threads of a run that asks for no number; `CIRCUITSCOPE_THREADS` sets it. */
  readonly threads: number;
  readonly cpu: string;
}

/** A program that was parsed and checked, ready to be run with any sizes. */
export interface NativeProgram {
  readonly [brand: symbol]: never;
}

/** Weights as the addon holds them: mapped from files in their stored type or owned, packed on first use. */
export interface NativeStore {
  /** Maps a file, whose length must be `byteLength`, and gives its number. Throws `bad_file`. */
  mapFile(path: string, byteLength: number): number;
  /**
   * A weight inside a mapped file: element (i, j) is number `offset + i·strides[0] + j·strides[1]` from `byteOffset` on.
   * `dtype` is f32, bf16 or f16. Replaces a weight of the same name. Throws `bad_file`, `bad_param`.
   */
  defineMapped(
    name: string,
    file: number,
    byteOffset: number,
    dtype: string,
    offset: number,
    shape: number[],
    strides: number[],
  ): void;
  /**
   * A weight that the addon copies. Replaces a weight of the same name; with the shape of that one it takes its memory, so
   * that defining it after every training step is cheap. Runs under way keep what they began with. Throws `bad_param`.
   */
  defineOwned(name: string, data: Float32Array, shape: number[], strides: number[]): void;
  /**
   * A weight that is computed of stored ones of this store when it is packed or read, in f64, rounded once: `recipe` is a
   * folding of `core/plan` as JSON, whose names are those of the store. Throws `bad_param`.
   */
  defineFolded(name: string, shape: number[], recipe: string): void;
  /** Forgets a weight; runs that use it keep it until they end. */
  remove(name: string): void;
  /** Bytes of mapped files (address space, not memory), of packed matrices, of owned weights. */
  bytes(): { readonly mapped: number; readonly packed: number; readonly owned: number };
}

/** One run, to stop it and to see how far it is. */
export interface NativeRun {
  /** The promise of the run rejects with the code `cancelled` within 50 ms. */
  cancel(): void;
  /** Steps that are done. */
  progress(): number;
}

export type NativeArray = Float32Array | Int32Array | Float64Array;

/** One update of AdamW: `core/training` says what each number is. */
export interface AdamWFactors {
  readonly factor: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly keep: number;
  readonly size: number;
  readonly root: number;
  readonly eps: number;
}

/** What can be measured of the machine. */
export type NativeProbe =
  /** Fused multiply-adds in registers; `work` is operations, two for each lane. */
  | { readonly kind: 'fma'; readonly isa?: string; readonly threads: number; readonly samples: number }
  /** A chain of additions, one a cycle; `work` is cycles. */
  | { readonly kind: 'clock'; readonly samples: number }
  /** Reading and adding up, or a = b + s·c, over arrays of so many bytes together; `work` is bytes. */
  | { readonly kind: 'read' | 'triad'; readonly bytes: number; readonly threads: number; readonly samples: number };

/** The work of one sample, and how long each took. */
export interface NativeSamples {
  readonly work: number;
  readonly ns: readonly number[];
}

/** How a call is timed. */
export interface NativeTiming {
  /** Runs before the first one that counts. */
  readonly warmUp: number;
  readonly samples: number;
  /** So many bytes are walked through before each run, so that nothing of it is in a cache; 0: it is hot. */
  readonly coldBytes: number;
  /** Weights are packed inside each run. They must be defined, and not have been used yet. */
  readonly repack: boolean;
}

/** A program with everything bound, to be run many times in one go, without the way to it and back. */
export interface NativeTimed {
  /** Nanoseconds of each sample, measured inside. One measurement at a time; may be asked again. */
  measure(timing: NativeTiming, run: NativeRun): Promise<readonly number[]>;
  /** What the last run gave. */
  read(outputs: { [name: string]: NativeArray }): void;
  /** Gives its memory back. */
  release(): void;
}

export interface NativeAddon {
  /** Throws `bad_input` where `CIRCUITSCOPE_ISA` or `CIRCUITSCOPE_THREADS` cannot be honoured. */
  info(): NativeInfo;
  /** Throws `bad_program`. */
  readonly NativeProgram: new (
    json: string,
  ) => NativeProgram;
  readonly NativeStore: new () => NativeStore;
  readonly NativeRun: new () => NativeRun;
  /**
   * Runs all steps off this thread. Inputs are copied before it returns; outputs are arrays of their own, and large ones
   * hold the memory that they were computed in. Rejects with an Error whose `code` is `cancelled`, `memory`,
   * `bad_program`, `bad_input`, `missing_param`, `out_of_range` or `panic`.
   * @param sizes what the symbols of the program's shapes are in this call
   * @param inputs one array for each input, as long as its bound shape
   * @param outputs names of those that are wanted, each once
   * @param options `memoryBytes` is the most that the program's slots may take together
   */
  execute(
    program: NativeProgram,
    store: NativeStore,
    sizes: { [symbol: string]: number },
    inputs: { [name: string]: NativeArray },
    outputs: readonly string[],
    options: { threads?: number; memoryBytes?: number },
    run: NativeRun,
  ): Promise<{ [name: string]: NativeArray }>;
  /** Measures the machine off this thread; null where it has no such thing. Rejects with `cancelled`. */
  probe(what: NativeProbe, run: NativeRun): Promise<NativeSamples | null>;
  /** As `execute` up to the run itself; no input may share its slot. */
  timed(
    program: NativeProgram,
    store: NativeStore,
    sizes: { [symbol: string]: number },
    inputs: { [name: string]: NativeArray },
    options: { threads?: number; memoryBytes?: number },
  ): NativeTimed;
  /** Updates weights and moments in place before it returns, some 2 ms per million. Throws `bad_input`. */
  adamw(
    gradient: Float32Array,
    weights: Float32Array,
    first: Float32Array,
    second: Float32Array,
    factors: AdamWFactors,
  ): void;
}

/** What the library itself exports. */
export interface NativeBinding
  extends Pick<NativeAddon, 'info' | 'NativeProgram' | 'NativeStore' | 'NativeRun' | 'adamw' | 'probe'> {
  readonly NativeCall: new (
    program: NativeProgram,
    store: NativeStore,
    sizes: { [symbol: string]: number },
    options: { threads?: number; memoryBytes?: number },
  ) => NativeCall;
}

interface NativeCall {
  readInput(name: string, array: NativeArray): void;
  checkOutput(name: string): void;
  start(run: NativeRun): Promise<void>;
  measure(timing: NativeTiming, run: NativeRun): Promise<readonly number[]>;
  writeOutput(name: string, array: NativeArray): void;
  takeOutput(name: string): NativeArray;
  release(): void;
}

/** The addon over a binding that was loaded some other way: a compiled executable embeds it by a static import. */
export function nativeAddon(binding: NativeBinding): NativeAddon {
  return {
    info: binding.info,
    NativeProgram: binding.NativeProgram,
    NativeStore: binding.NativeStore,
    NativeRun: binding.NativeRun,
    adamw: binding.adamw,
    async probe(what, run) {
      cancelAtExit(run);
      try {
        return (await binding.probe(what, run)) ?? null;
      } finally {
        underWay?.delete(run);
      }
    },
    timed(program, store, sizes, inputs, options) {
      const call = new binding.NativeCall(program, store, sizes, options);
      for (const [name, array] of Object.entries(inputs)) call.readInput(name, array);
      return {
        async measure(timing, run) {
          cancelAtExit(run);
          try {
            return await call.measure(timing, run);
          } finally {
            underWay?.delete(run);
          }
        },
        read(outputs) {
          for (const [name, array] of Object.entries(outputs)) call.writeOutput(name, array);
        },
        release: () => call.release(),
      };
    },
    async execute(program, store, sizes, inputs, outputs, options, run) {
      const call = new binding.NativeCall(program, store, sizes, options);
      try {
        for (const [name, array] of Object.entries(inputs)) call.readInput(name, array);
        for (const name of outputs) call.checkOutput(name);
        cancelAtExit(run);
        await call.start(run);
        return Object.fromEntries(outputs.map((name) => [name, call.takeOutput(name)]));
      } finally {
        underWay?.delete(run);
        call.release();
      }
    },
  };
}

let underWay: Set<NativeRun> | undefined;

/** A process that exits waits for what its thread pool still computes; nobody will read it, so it is stopped. */
function cancelAtExit(run: NativeRun): void {
  if (!underWay) {
    const runs = new Set<NativeRun>();
    process.on('exit', () => {
      for (const each of runs) each.cancel();
    });
    underWay = runs;
  }
  underWay.add(run);
}

let loaded: NativeAddon | { readonly missing: string } | undefined;

/**
 * Loads the addon that was built for this machine, once, or says why it is not there. In Deno this needs `--allow-ffi`
 * and `--allow-read`; `--allow-env` for what the environment sets.
 */
export function loadNative(): NativeAddon | { readonly missing: string } {
  loaded ??= load();
  return loaded;
}

function load(): NativeAddon | { readonly missing: string } {
  const require = createRequire(import.meta.url);
  const files: { readonly [machine: string]: () => unknown } = {
    'linux-x64': () => require('./circuitscope.linux-x64.node'),
    'linux-arm64': () => require('./circuitscope.linux-arm64.node'),
    'darwin-x64': () => require('./circuitscope.darwin-x64.node'),
    'darwin-arm64': () => require('./circuitscope.darwin-arm64.node'),
    'win32-x64': () => require('./circuitscope.win32-x64.node'),
  };
  const machine = `${process.platform}-${process.arch}`;
  const file = files[machine];
  if (!file) return { missing: `there is no addon for ${machine}` };
  try {
    const binding = file();
    if (isBinding(binding)) return nativeAddon(binding);
    return { missing: 'the addon is older than this source; build it again with `bun run build` in native/' };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const absent = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';
    return { missing: absent ? 'the addon is not built; `bun run build` in native/ needs Rust' : message };
  }
}

function isBinding(value: unknown): value is NativeBinding {
  const names = ['info', 'NativeProgram', 'NativeStore', 'NativeRun', 'NativeCall', 'adamw', 'probe'] as const;
  return (
    typeof value === 'object' && value !== null && names.every((name) => typeof Reflect.get(value, name) === 'function')
  );
}
