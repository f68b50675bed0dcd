import { readNpy, readSafetensorsHeader, readStored, type StoredTensor } from '@circuitscope/core/checkpoints';
import { imagePrompt, type Prompt } from '@circuitscope/core/plan';
import type { Tensor } from '@circuitscope/core/tensor';
import { CircuitscopeError } from '@circuitscope/schema';
import { flagOf } from '../../options/index.ts';
import { decodePicture, pictureEndings } from './decode-picture.ts';

/** Images of a call: more entries than this are a mistake, or a job for several calls. */
const MOST_ENTRIES = 1 << 28;

/**
 * Images [batch, channels, height, width]: an .npy array, the tensor `images` of a safetensors file, three sizes being
 * one image; or a PNG or JPEG picture, its entries between 0 and 1.
 * @throws CircuitscopeError `bad_images`, and whatever reading the file throws
 */
export function readImages(path: string): Tensor {
  if (pictureEndings.some((ending) => path.toLowerCase().endsWith(ending))) {
    const { shape, data } = decodePicture(path);
    return { shape: [1, ...shape], data };
  }
  const stored = storedImages(path);
  const shape = stored.shape.length === 3 ? [1, ...stored.shape] : stored.shape;
  const entries = shape.reduce((a, b) => a * b, 1);
  if (shape.length === 4 && entries > 0 && entries <= MOST_ENTRIES) return { shape, data: readStored(stored) };
  throw new CircuitscopeError(
    'bad_images',
    `${path} holds an array of shape [${stored.shape.join(', ')}]; images are [batch, channels, height, width], at most ${MOST_ENTRIES} entries.`,
    { at: path, expected: '[batch, channels, height, width]', got: `[${stored.shape.join(', ')}]` },
  );
}

function storedImages(path: string): StoredTensor {
  if (path.endsWith('.npy')) return readNpy(path);
  const found = readSafetensorsHeader(path).tensors.find(({ name }) => name === 'images');
  if (found) return found;
  throw new CircuitscopeError('bad_images', `${path} has no tensor named images; name it so, or give an .npy file.`, {
    at: path,
    expected: 'images',
  });
}

/** A prompt of images and their [height, width]. They come alone: what belongs to a text is refused beside them. */
export function promptOfImages(
  options: { readonly [name: string]: unknown },
  path: string,
): { readonly prompt: Prompt; readonly size: readonly [number, number] } {
  const beside = ['tokens', 'text', 'mask', 'decoderTokens', 'tokenTypeIds', 'positionIds'].find(
    (name) => options[name] !== undefined,
  );
  if (beside !== undefined) {
    throw new CircuitscopeError(
      'bad_option',
      `${flagOf(beside)} is of texts, and --images gives none; leave one out.`,
      {
        at: flagOf(beside),
      },
    );
  }
  const images = readImages(path);
  const [, , height = 0, width = 0] = images.shape;
  return { prompt: imagePrompt(images), size: [height, width] };
}
