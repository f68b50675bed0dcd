import { decoderFromCheckpoint, type Model } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { type Matrix, multiply, transposed } from '../circuits/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { decomposed } from './decompose.ts';

/**
 * For tests alone: the same function in other clothes. The stream is turned by a random rotation and the heads of each
 * layer stand in another order; `order[layer][place]` is the head that now stands there. For toys without norms.
 */
export async function disguised(
  model: Model,
  seed: number,
): Promise<{ readonly model: Model; readonly order: readonly (readonly number[])[] }> {
  const rng = new Rng(seed, 'fixture/disguise');
  const { width, heads, layers } = model.spec;
  const noise = Float64Array.from({ length: width * width }, () => rng.normal());
  const { left: turn } = await decomposed(matrix([width, width], noise));
  const order = Array.from({ length: layers }, () => rng.shuffle(Array.from({ length: heads }, (_, head) => head)));
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape, data = new Float32Array() }] of model.checkpoint.tensors) {
    const layer = Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1);
    const size = data.length / (shape[0] ?? 1);
    const ordered =
      /attn\.(W_.|b_[QKV])$/.test(name) && order[layer]
        ? order[layer].flatMap((head) => [...data.subarray(head * size, (head + 1) * size)])
        : data;
    tensors.set(name, { shape, data: inBasis(name, shape, Float64Array.from(ordered), turn) });
  }
  const disguisedName = `${model.name} disguised`;
  return {
    model: decoderFromCheckpoint(memoryCheckpoint(disguisedName, model.checkpoint.config, tensors), disguisedName),
    order,
  };
}

function inBasis(name: string, shape: readonly number[], data: Float64Array, turn: Matrix): Float64Array {
  const width = turn.rows;
  if (/(W_E|W_pos|W_O|b_O)$/.test(name)) return multiply(matrix([data.length / width, width], data), turn).data;
  if (!/W_[QKVU]$/.test(name)) return data;
  // [head, model, d_head] or [model, vocab]: turned from the left, block by block.
  const columns = shape[shape.length - 1] ?? 1;
  const block = width * columns;
  return Float64Array.from(
    Array.from(
      { length: data.length / block },
      (_, at) => multiply(transposed(turn), matrix([width, columns], data.slice(at * block, (at + 1) * block))).data,
    ).flatMap((part) => [...part]),
  );
}

function matrix([rows, columns]: readonly [number, number], data: Float64Array): Matrix {
  return { rows, columns, data };
}
