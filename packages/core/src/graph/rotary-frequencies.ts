// Angles of rotary positions: entry pair i turns by position × frequency_i. All in float64; what stores them rounds once.
// The ways of scaling them to longer texts are those of Hugging Face's `rope_scaling`.

/** How frequencies change for texts longer than those a model was first trained on. Plain data: part of a graph. */
export type RopeScaling =
  /** Chen et al. 2023: every frequency is divided. */
  | { readonly kind: 'linear'; readonly factor: number }
  /** Long wavelengths are divided, short ones kept, those between blended (Llama 3.1). */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly original: number;
    }
  /** Peng et al. 2023: a ramp over the dimensions, and cos and sin times `amplitude`. */
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly original: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
      readonly amplitude: number;
    }
  /** The base grows with the text once that is longer than `original`. */
  | { readonly kind: 'dynamic'; readonly factor: number; readonly original: number }
  /** Ding et al. 2024: each frequency has its divisor, one for texts up to `original` and one for longer ones. */
  | {
      readonly kind: 'longrope';
      readonly short: readonly number[];
      readonly long: readonly number[];
      readonly original: number;
      readonly amplitude: number;
    };

export type RotaryAngles = {
  readonly base: number;
  /** Entries of a head that turn; half as many frequencies. */
  readonly dims: number;
  readonly scaling: RopeScaling | null;
};

export function turnsByLength({ scaling }: RotaryAngles): boolean {
  return scaling?.kind === 'dynamic' || scaling?.kind === 'longrope';
}

/** Frequencies [dims/2] of a text of `length` tokens, and the factor of its cosines and sines. */
export function rotaryFrequencies(
  { base, dims, scaling }: RotaryAngles,
  length: number,
): { readonly frequencies: Float64Array; readonly amplitude: number } {
  const plain = (from: number): Float64Array =>
    Float64Array.from({ length: dims / 2 }, (_, pair) => from ** (-(2 * pair) / dims));
  const frequencies = plain(base);
  switch (scaling?.kind) {
    case undefined:
      return { frequencies, amplitude: 1 };
    case 'linear':
      return { frequencies: frequencies.map((frequency) => frequency / scaling.factor), amplitude: 1 };
    case 'llama3':
      return { frequencies: frequencies.map((frequency) => blended(frequency, scaling)), amplitude: 1 };
    case 'yarn': {
      const [low, high] = yarnRange(base, dims, scaling);
      const mixed = frequencies.map((frequency, pair) => {
        const divided = Math.min(Math.max((pair - low) / (high - low), 0), 1);
        return (frequency / scaling.factor) * divided + frequency * (1 - divided);
      });
      return { frequencies: mixed, amplitude: scaling.amplitude };
    }
    case 'dynamic': {
      const stretch = (scaling.factor * Math.max(length, scaling.original)) / scaling.original - (scaling.factor - 1);
      return { frequencies: plain(base * stretch ** (dims / (dims - 2))), amplitude: 1 };
    }
    case 'longrope': {
      const divisors = length > scaling.original ? scaling.long : scaling.short;
      const divided = frequencies.map((frequency, pair) => frequency / (divisors[pair] ?? 1));
      return { frequencies: divided, amplitude: scaling.amplitude };
    }
  }
}

function blended(
  frequency: number,
  { factor, lowFactor, highFactor, original }: Extract<RopeScaling, { kind: 'llama3' }>,
): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > original / lowFactor) return frequency / factor;
  if (wavelength < original / highFactor) return frequency;
  const smooth = (original / wavelength - lowFactor) / (highFactor - lowFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** The pairs between which YaRN ramps from kept to divided: those that turn betaFast and betaSlow times over the original. */
function yarnRange(
  base: number,
  dims: number,
  { original, betaFast, betaSlow, truncate }: Extract<RopeScaling, { kind: 'yarn' }>,
): readonly [low: number, high: number] {
  const pairThatTurns = (times: number): number =>
    (dims * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(base));
  const [from, to] = [pairThatTurns(betaFast), pairThatTurns(betaSlow)];
  const low = Math.max(truncate ? Math.floor(from) : from, 0);
  const high = Math.min(truncate ? Math.ceil(to) : to, dims - 1);
  return [low, low === high ? high + 0.001 : high];
}
