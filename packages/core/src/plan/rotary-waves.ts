import { type Attributes, type RotaryAngles, rotaryFrequencies } from '../graph/index.ts';
import { graphInputs, type Prompt } from './bind.ts';

// Rotary angles that depend on how long a text is. A row's length is its own: the largest position of its real tokens plus
// one, whatever else is in the batch.

/** cos or sin [batch, pos, dims/2] of an input node with these attributes; undefined where they ask for something else. */
export function rotaryWaves({ rotary, wave }: Attributes, prompt: Prompt): Float64Array | undefined {
  if (rotary === undefined) return undefined;
  const angles = rotary as RotaryAngles;
  const { positions = new Int32Array(0), mask = new Int32Array(0) } = graphInputs(prompt);
  const pos = prompt.tokens[0]?.length ?? 0;
  const half = angles.dims / 2;
  const of = wave === 'sin' ? Math.sin : Math.cos;
  const waves = new Float64Array(positions.length * half);
  for (let row = 0; row < prompt.tokens.length; row++) {
    let length = 0;
    for (let at = row * pos; at < (row + 1) * pos; at++) {
      if (mask[at] !== 0) length = Math.max(length, (positions[at] ?? 0) + 1);
    }
    const { frequencies, amplitude } = rotaryFrequencies(angles, length);
    for (let at = row * pos; at < (row + 1) * pos; at++) {
      for (let pair = 0; pair < half; pair++)
        waves[at * half + pair] = of((positions[at] ?? 0) * (frequencies[pair] ?? 0)) * amplitude;
    }
  }
  return waves;
}
