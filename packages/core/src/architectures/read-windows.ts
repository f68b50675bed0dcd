import type { ConfigReader } from './architecture.ts';
import type { Attention } from './decoder-spec.ts';

// Sliding windows of Hugging Face configs: a query reads so many keys, itself the last of them.

/** One window for every layer (`sliding_window`), or none where it is null. */
export function slidingWindow(config: ConfigReader, layers: number, usual?: number): Pick<Attention, 'windows'> {
  // A window that is written as null is none, whatever the family's default.
  const window = config.has('sliding_window') ? sizeOrNull(config, 'sliding_window') : (usual ?? null);
  return window === null ? {} : { windows: Array.from({ length: layers }, () => window) };
}

/**
 * Windows of some layers: those that `layer_types` calls sliding, or where it is left out those that `slides` says.
 */
export function windowsByLayer(
  config: ConfigReader,
  layers: number,
  window: number | null,
  slides: (layer: number) => boolean,
): { readonly windows: readonly (number | null)[]; readonly sliding: readonly boolean[] } {
  const given = config.value('layer_types');
  const types =
    given ?? Array.from({ length: layers }, (_, at) => (slides(at) ? 'sliding_attention' : 'full_attention'));
  const known = ['sliding_attention', 'full_attention'];
  if (!Array.isArray(types) || types.length !== layers || types.some((type) => !known.includes(type)))
    throw config.wrong('layer_types', `${layers} of ${known.join(', ')}`, given);
  const sliding = types.map((type) => type === 'sliding_attention');
  return { sliding, windows: sliding.map((here) => (here ? window : null)) };
}

/** Qwen's windows: in force with `use_sliding_window`, from the layer `max_window_layers` on. */
export function qwenWindows(config: ConfigReader, layers: number): Pick<Attention, 'windows'> {
  const used = config.flag('use_sliding_window', false);
  const window = sizeOrNull(config, 'sliding_window') ?? 4096;
  const first = config.value('max_window_layers') ?? 28;
  if (typeof first !== 'number' || !Number.isInteger(first) || first < 0)
    throw config.wrong('max_window_layers', 'a whole number from 0', first);
  const { windows } = windowsByLayer(config, layers, used ? window : null, (layer) => used && layer >= first);
  return windows.some((each) => each !== null) ? { windows } : {};
}

function sizeOrNull(config: ConfigReader, key: string): number | null {
  return config.value(key) === undefined ? null : config.size(key);
}
