import { resolve } from 'node:path';
import { readSafetensorsHeader, readStoredFloat64, writeSafetensors } from '@circuitscope/core/checkpoints';
import type { Tensor } from '@circuitscope/core/tensor';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../../io.ts';

// A direction on disk: one safetensors file with a tensor `direction` [width], and texts that say where it belongs.

const NAME = 'direction';

export interface StoredDirection {
  /** Unit length, [width]. */
  readonly direction: Tensor;
  /** The site that it was found at, and the content hash of its model, where the file says so. */
  readonly site: string | null;
  readonly model: string | null;
  readonly property: string | null;
}

/** @throws CircuitscopeError `bad_direction`, and what reading a safetensors file throws */
export function readDirection(given: string, io: Io): StoredDirection {
  const { tensors, metadata } = readSafetensorsHeader(resolve(io.cwd, given));
  const stored = tensors.find(({ name }) => name === NAME);
  if (!stored)
    throw bad(
      given,
      `a tensor named ${NAME}`,
      tensors
        .slice(0, 4)
        .map(({ name }) => name)
        .join(', ') || 'no tensor',
    );
  const [width = 0] = stored.shape;
  if (stored.shape.length !== 1 || width === 0) throw bad(given, 'a vector [width]', `[${stored.shape.join(', ')}]`);
  const values = readStoredFloat64(stored);
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  if (!(length > 0 && Number.isFinite(length))) throw bad(given, 'a finite length above zero', String(length));
  return {
    direction: { shape: [width], data: Float32Array.from(values, (value) => value / length) },
    site: metadata.get('site') ?? null,
    model: metadata.get('model') ?? null,
    property: metadata.get('property') ?? null,
  };
}

export function writeDirection(
  path: string,
  vector: readonly number[],
  about: { readonly site: string; readonly model: string; readonly property: string },
): void {
  const data = Float32Array.from(vector);
  writeSafetensors(path, [{ name: NAME, dtype: 'f32', shape: [data.length], data }], {
    name: about.property,
    ...about,
  });
}

function bad(given: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_direction',
    `${given} holds no direction: it should have ${expected}, but has ${got}.`,
    { at: given, expected, got },
  );
}
