// The one place that loads the addon, and only when asked: a browser, or a machine without the built file, never does.

export interface NativeInfo {
  readonly version: string;
  readonly isa: string;
  readonly isas: readonly string[];
  readonly threads: number;
  readonly cpu: string;
}

export interface NativeProgramHandle {
  readonly [brand: symbol]: never;
}

/** Weights as the addon holds them: mapped from files or owned, packed on first use. */
export interface NativeStoreHandle {
  mapFile(path: string, byteLength: number): number;
  defineMapped(
    name: string,
    file: number,
    byteOffset: number,
    dtype: string,
    offset: number,
    shape: number[],
    strides: number[],
  ): void;
  defineOwned(name: string, data: Float32Array, shape: number[], strides: number[]): void;
  defineFolded(name: string, shape: number[], recipe: string): void;
  remove(name: string): void;
  bytes(): { readonly mapped: number; readonly packed: number; readonly owned: number };
}

export interface NativeRunHandle {
  cancel(): void;
  /** Steps that are done. */
  progress(): number;
}

/** What can be measured of the machine: operations of the loop, cycles, or bytes are the work of a sample. */
export type NativeProbe =
  | { readonly kind: 'fma'; readonly isa?: string; readonly threads: number; readonly samples: number }
  | { readonly kind: 'clock'; readonly samples: number }
  | { readonly kind: 'read' | 'triad'; readonly bytes: number; readonly threads: number; readonly samples: number };

export interface NativeSamples {
  readonly work: number;
  readonly ns: readonly number[];
}

export interface NativeTiming {
  readonly warmUp: number;
  readonly samples: number;
  readonly coldBytes: number;
  readonly repack: boolean;
}

/** A program with everything bound, timed inside the addon. */
export interface NativeTimedHandle {
  measure(timing: NativeTiming, run: NativeRunHandle): Promise<readonly number[]>;
  read(outputs: { [name: string]: Float32Array | Int32Array | Float64Array }): void;
  release(): void;
}

/** What the addon offers; `@circuitscope/native` implements it. */
export interface NativeAddon {
  info(): NativeInfo;
  readonly NativeProgram: new (json: string) => NativeProgramHandle;
  readonly NativeStore: new () => NativeStoreHandle;
  readonly NativeRun: new () => NativeRunHandle;
  execute(
    program: NativeProgramHandle,
    store: NativeStoreHandle,
    sizes: { [symbol: string]: number },
    inputs: { [name: string]: Float32Array | Int32Array | Float64Array },
    outputs: readonly string[],
    options: { threads?: number; memoryBytes?: number },
    run: NativeRunHandle,
  ): Promise<{ [name: string]: Float32Array | Int32Array | Float64Array }>;
  probe(what: NativeProbe, run: NativeRunHandle): Promise<NativeSamples | null>;
  timed(
    program: NativeProgramHandle,
    store: NativeStoreHandle,
    sizes: { [symbol: string]: number },
    inputs: { [name: string]: Float32Array | Int32Array | Float64Array },
    options: { threads?: number; memoryBytes?: number },
  ): NativeTimedHandle;
  adamw(
    gradient: Float32Array,
    weights: Float32Array,
    first: Float32Array,
    second: Float32Array,
    factors: AdamWFactors,
  ): void;
}

/** One update of AdamW: what `training` multiplies and adds, in float64. */
export interface AdamWFactors {
  readonly factor: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly keep: number;
  readonly size: number;
  readonly root: number;
  readonly eps: number;
}

export type NativeChoice =
  | { readonly kind: 'native'; readonly addon: NativeAddon }
  | { readonly kind: 'missing'; readonly reason: string };

/**
 * Loads the addon if it is there. `CIRCUITSCOPE_EXECUTOR=reference` asks for the reference; a wrong
 * `CIRCUITSCOPE_ISA` is an error, since silently running another path would falsify a comparison.
 */
export async function chooseNative(
  env: { readonly [name: string]: string | undefined } = process.env,
): Promise<NativeChoice> {
  if (env.CIRCUITSCOPE_EXECUTOR === 'reference') {
    return { kind: 'missing', reason: 'CIRCUITSCOPE_EXECUTOR asks for the reference executor' };
  }
  try {
    const { loadNative } = await import('@circuitscope/native');
    const loaded = loadNative();
    return 'missing' in loaded ? { kind: 'missing', reason: loaded.missing } : { kind: 'native', addon: loaded };
  } catch (error) {
    return { kind: 'missing', reason: error instanceof Error ? error.message : String(error) };
  }
}
