import { type GraphBuilder, type RotaryAngles, rotaryFrequencies, turnsByLength } from '../graph/index.ts';
import type { Weight } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { DecoderSpec, Rotary } from './decoder-spec.ts';

// Rotary positions in a graph. Angles that depend on the position alone are tables [context, dims/2]; those that also
// depend on how long the text is are inputs [batch, pos, dims/2] that each call makes.

/** Queries or keys of a layer, turned by their positions; as they are in models without rotary positions. */
export function rotate(
  builder: GraphBuilder,
  spec: DecoderSpec,
  layer: number,
  x: number,
  port: 'q' | 'k',
  positions: number,
): number {
  if (spec.positions.kind !== 'rotary') return x;
  const { layout, dims } = spec.positions;
  const { name, angles } = anglesOf(spec.positions, layer);
  const sites = [`blocks.${layer}.attn.hook_rot_${port}`];
  if (turnsByLength(angles)) {
    const [cos, sin] = (['cos', 'sin'] as const).map((wave) =>
      builder.input(`${name}.${wave}`, {
        shape: ['batch', 'pos', dims / 2],
        dtype: 'f32',
        attrs: { rotary: angles, wave, context: spec.context },
      }),
    );
    return builder.add('rotate', [x, cos ?? -1, sin ?? -1], { attrs: { layout }, sites });
  }
  const table = (dims / 2) * spec.context;
  return builder.add('rotary', [x, positions], {
    params: [builder.param(`${name}.cos`, [table]), builder.param(`${name}.sin`, [table])],
    attrs: { layout, dims },
    sites,
  });
}

/** What a graph's positions look up and no checkpoint stores: tables of rotary angles, slopes of ALiBi. */
export function positionTables({ positions, context, layers }: DecoderSpec): Weight[] {
  if (positions.kind === 'alibi') {
    const slopes = Float64Array.from(positions.slopes);
    return [{ name: 'alibi.slopes', shape: [slopes.length], read: () => slopes }];
  }
  if (positions.kind !== 'rotary') return [];
  const found = new Map<string, RotaryAngles>();
  for (let layer = 0; layer < layers; layer++) {
    const { name, angles } = anglesOf(positions, layer);
    if (!turnsByLength(angles)) found.set(name, angles);
  }
  return [...found].flatMap(([name, angles]) => {
    const shape = [(context * angles.dims) / 2];
    return [
      { name: `${name}.cos`, shape, read: table(angles, context, Math.cos) },
      { name: `${name}.sin`, shape, read: table(angles, context, Math.sin) },
    ];
  });
}

/** cos or sin of position × frequency; executors in float32 round it once. */
function table(angles: RotaryAngles, context: number, wave: (angle: number) => number): () => Floats {
  let made: Float64Array | undefined;
  return () => {
    if (made) return made;
    const { frequencies, amplitude } = rotaryFrequencies(angles, context);
    const half = frequencies.length;
    made = new Float64Array(context * half);
    for (let position = 0; position < context; position++) {
      for (let pair = 0; pair < half; pair++)
        made[position * half + pair] = wave(position * (frequencies[pair] ?? 0)) * amplitude;
    }
    return made;
  };
}

function anglesOf(
  { base, dims, scaling = null, local }: Rotary,
  layer: number,
): { readonly name: string; readonly angles: RotaryAngles } {
  if (local?.layers[layer]) return { name: 'rotary_local', angles: { base: local.base, dims, scaling: null } };
  return { name: 'rotary', angles: { base, dims, scaling } };
}
