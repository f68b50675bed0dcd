import { plain, transposed, vector, type WeightSource } from './architecture.ts';

export interface StoredLinear {
  /** The module's name: its tensors are `from.weight` and, with a bias, `from.bias`. */
  readonly from: string;
  readonly out: number;
  readonly into: number;
  readonly bias?: boolean;
  /** `out_in` as PyTorch's Linear has it, `in_out` as Conv1D has it. */
  readonly order?: 'out_in' | 'in_out';
  /** The outputs that are meant, of those that are stored: `count` blocks of `width`, `stride` apart, from `first` on. */
  readonly rows?: { readonly first: number; readonly width: number; readonly count?: number; readonly stride?: number };
}

/** Where the weights of a graph lie, collected by the names that they have there. */
export class WeightMap {
  readonly sources = new Map<string, WeightSource>();

  /** A table of rows: embeddings, positions. `first` leaves rows out at the start. */
  table(name: string, tensor: string, rows: number, width: number, first = 0): void {
    const { offset, ...whole } = plain(tensor, rows + first, width);
    this.sources.set(name, { ...whole, offset: offset + first * width, shape: [rows, width] });
  }

  /** A table [vocab, width] that is multiplied from the right. */
  unembedding(tensor: string, vocab: number, width: number): void {
    this.sources.set('unembed.W_U', transposed(tensor, vocab, width));
  }

  vector(name: string, tensor: string, length: number): void {
    this.sources.set(name, vector(tensor, length));
  }

  /** A norm's gain, `plus` what is stored of it, and its shift. */
  norm(name: string, from: string, width: number, { shift = true, plus = 0 } = {}): void {
    this.sources.set(`${name}.w`, { ...vector(`${from}.weight`, width), ...(plus === 0 ? {} : { plus }) });
    if (shift) this.sources.set(`${name}.b`, vector(`${from}.bias`, width));
  }

  /** W and b of one part of a layer: `blocks.0.attn`, `Q`. */
  linear(at: string, part: string, stored: StoredLinear): void {
    const { from, out, into, bias = false, order = 'out_in', rows = { first: 0, width: out } } = stored;
    const { first, width, count = 1, stride = width } = rows;
    const shared = (step: number) => (count > 1 ? { headStride: { count, stride: stride * step } } : {});
    const [down, across] = order === 'out_in' ? [1, into] : [out, 1];
    this.sources.set(`${at}.W_${part}`, {
      tensor: `${from}.weight`,
      stored: order === 'out_in' ? [out, into] : [into, out],
      offset: first * across,
      shape: [into, width * count],
      strides: [down, across],
      ...shared(across),
    });
    if (!bias) return;
    this.sources.set(`${at}.b_${part}`, {
      ...vector(`${from}.bias`, out, first, width),
      shape: [width * count],
      ...shared(1),
    });
  }
}
