import { CircuitscopeError } from '@circuitscope/schema';
import type { RopeScaling } from '../graph/index.ts';
import type { ConfigReader } from './architecture.ts';
import type { Rotary } from './decoder-spec.ts';

export interface RopeDefaults {
  readonly headWidth: number;
  /** max_position_embeddings */
  readonly context: number;
  readonly base?: number;
  /** Which part of a head turns where the config does not say. */
  readonly partial?: number;
  /** Other names that the base and the part of the head have in this family's configs. */
  readonly baseKey?: string;
  readonly partialKey?: string;
  /** The base of layers that turn by another one, for families that have such layers. */
  readonly localBase?: number;
}

/**
 * Rotary positions as a Hugging Face config says them: transformers 4 has `rope_theta` and `rope_scaling`, transformers 5 one
 * `rope_parameters`. A way of scaling that is not known here is an error.
 */
export function readRope(config: ConfigReader, defaults: RopeDefaults): Rotary {
  const { headWidth, context, base = 10000, partial = 1, baseKey, partialKey } = defaults;
  const named = { base: numberAt(config, ['rope_theta', baseKey]) ?? base };
  let localBase = defaults.localBase;
  if (localBase !== undefined) localBase = config.number('rope_local_base_freq', localBase);
  const shares = [numberAt(config, ['partial_rotary_factor', partialKey])];
  let scaling: RopeScaling | null = null;
  for (const key of ['rope_scaling', 'rope_parameters']) {
    const whole = config.part(key);
    if (!whole) continue;
    // Where layers differ, transformers 5 has an entry for each type of them.
    const part = (localBase === undefined ? undefined : whole.part('full_attention')) ?? whole;
    if (part !== whole) {
      localBase = localOnly(whole, config, { context, key, base: localBase ?? base });
      whole.finish([]);
    }
    named.base = part.number('rope_theta', named.base);
    shares.push(numberAt(part, ['partial_rotary_factor']));
    scaling = readScaling(part, { config, context, key });
    part.finish([]);
  }
  const share = shares.findLast((value) => value !== undefined) ?? partial;
  const dims = Math.trunc(headWidth * share);
  if (scaling?.kind === 'longrope') {
    for (const [what, list] of [
      ['short_factor', scaling.short],
      ['long_factor', scaling.long],
    ] as const) {
      if (list.length !== dims / 2) throw config.wrong(what, `${dims / 2} numbers`, list);
    }
  }
  const local = localBase === undefined ? {} : { local: { base: localBase, layers: [] } };
  return { kind: 'rotary', base: named.base, dims, layout: 'half', scaling, ...local };
}

/** The base of the layers with a window, which nothing scales. */
function localOnly(
  whole: ConfigReader,
  config: ConfigReader,
  { context, key, base }: { readonly context: number; readonly key: string; readonly base: number },
): number {
  const part = whole.part('sliding_attention');
  if (!part) return base;
  const scaling = readScaling(part, { config, context, key });
  if (scaling) throw whole.wrong('sliding_attention', 'rope_type default', scaling.kind);
  const found = part.number('rope_theta', base);
  part.finish([]);
  return found;
}

/** One entry of `rope_scaling` or `rope_parameters`. */
export function readScaling(
  part: ConfigReader,
  { config, context, key }: { readonly config: ConfigReader; readonly context: number; readonly key: string },
): RopeScaling | null {
  const kind = part.value('rope_type') ?? part.value('type') ?? 'default';
  part.value('type');
  switch (kind) {
    case 'default':
      return null;
    case 'linear':
      return { kind: 'linear', factor: part.number('factor') };
    case 'dynamic':
      return {
        kind: 'dynamic',
        factor: part.number('factor'),
        original: part.size('original_max_position_embeddings', context),
      };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: part.number('factor'),
        lowFactor: part.number('low_freq_factor'),
        highFactor: part.number('high_freq_factor'),
        original: part.size('original_max_position_embeddings'),
      };
    case 'yarn':
      return readYarn(part, context);
    case 'longrope':
    case 'su':
      return readLongRope(part, config, context);
    default:
      throw new CircuitscopeError(
        'unsupported_config',
        `This model scales its rotary positions by ${JSON.stringify(kind)}, which is not supported; supported are default, linear, dynamic, llama3, yarn and longrope.`,
        { at: `config.json: ${key}`, expected: 'a known rope_type', got: String(kind) },
      );
  }
}

function readYarn(part: ConfigReader, context: number): RopeScaling {
  const original = part.size('original_max_position_embeddings', context);
  const factor = part.number('factor', context / original);
  const [own, all] = [numberAt(part, ['mscale']), numberAt(part, ['mscale_all_dim'])];
  const temperature = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const amplitude = own && all ? temperature(own) / temperature(all) : temperature(1);
  return {
    kind: 'yarn',
    factor,
    original,
    betaFast: part.number('beta_fast', 32),
    betaSlow: part.number('beta_slow', 1),
    truncate: part.flag('truncate', true),
    amplitude: part.number('attention_factor', amplitude),
  };
}

function readLongRope(part: ConfigReader, config: ConfigReader, context: number): RopeScaling {
  const own =
    part.value('original_max_position_embeddings') === undefined
      ? undefined
      : part.size('original_max_position_embeddings');
  const outer =
    config.value('original_max_position_embeddings') === undefined
      ? undefined
      : config.size('original_max_position_embeddings');
  const original = outer ?? own ?? context;
  const factor = outer === undefined ? part.number('factor', context / original) : context / original;
  part.value('factor');
  const amplitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    kind: 'longrope',
    short: part.numbers('short_factor'),
    long: part.numbers('long_factor'),
    original,
    amplitude: part.number('attention_factor', amplitude),
  };
}

function numberAt(config: ConfigReader, keys: readonly (string | undefined)[]): number | undefined {
  const values = keys.flatMap((key) =>
    key !== undefined && config.value(key) !== undefined ? [config.number(key)] : [],
  );
  return values[0];
}
