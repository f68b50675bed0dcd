import type { Model } from '../architectures/index.ts';
import { randomBaseline } from './composition.ts';
import { type Matrix, multiply, readingMatrix, transposed, writingMatrix } from './head-matrices.ts';

type Head = { readonly layer: number; readonly head: number };

/** Composition of one head with one port of a later one, as {@link composition} gives it. */
export interface ComposedPair {
  readonly from: Head;
  readonly to: Head;
  readonly port: 'q' | 'k' | 'v';
  readonly raw: number;
  readonly baseline: number;
}

export interface CompositionTableOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (share: number) => void;
}

/**
 * Composition of every head with q, k and v of every head in a later layer (Elhage et al. 2021). With W_OV = L R and the
 * reader's matrix L′R′, ‖L R L′ R′‖² = tr(Mᵀ (LᵀL) M · R′R′ᵀ) for M = R L′, so each head gives its d_head × d_head products
 * once and a pair costs one of d_head × d_model × d_head.
 */
export async function compositionTable(
  model: Model,
  { signal, onProgress }: CompositionTableOptions = {},
): Promise<readonly ComposedPair[]> {
  const { layers, heads, width, headWidth } = model.spec;
  const baseline = randomBaseline(width, headWidth);
  const ports = ['q', 'k', 'v'] as const;
  const all = Array.from(
    { length: layers * heads },
    (_, at): Head => ({ layer: Math.floor(at / heads), head: at % heads }),
  );
  const factors = all.map((head) => factorsOf(model, head));
  const pairs: ComposedPair[] = [];
  for (const [at, to] of all.entries()) {
    // Gives signals and progress their turn: all of this is one computation otherwise.
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    onProgress?.(at / all.length);
    const reader = factors[at];
    if (!reader) continue;
    for (const port of ports) {
      const { left, outer, norm } = reader[port];
      for (let from = 0; from < to.layer * heads; from++) {
        const writer = factors[from]?.v;
        const head = all[from];
        if (!writer || !head) continue;
        const middle = multiply(writer.right, left);
        const square = traceOf(multiply(multiply(transposed(middle), writer.gram), middle), outer);
        const norms = norm * writer.norm;
        pairs.push({ from: head, to, port, raw: norms > 0 ? Math.sqrt(Math.max(0, square)) / norms : 0, baseline });
      }
    }
  }
  return pairs;
}

/** left · right of low rank, with leftᵀ left, right rightᵀ and the Frobenius norm of the product. */
interface Factors {
  readonly left: Matrix;
  readonly right: Matrix;
  readonly gram: Matrix;
  readonly outer: Matrix;
  readonly norm: number;
}

function factorsOf(model: Model, { layer, head }: Head): { readonly [port in 'q' | 'k' | 'v']: Factors } {
  const q = readingMatrix(model, layer, head, 'q');
  const k = readingMatrix(model, layer, head, 'k');
  return {
    q: factored(q, transposed(k)),
    k: factored(k, transposed(q)),
    v: factored(readingMatrix(model, layer, head, 'v'), writingMatrix(model, layer, head)),
  };
}

function factored(left: Matrix, right: Matrix): Factors {
  const gram = multiply(transposed(left), left);
  const outer = multiply(right, transposed(right));
  return { left, right, gram, outer, norm: Math.sqrt(Math.max(0, traceOf(gram, outer))) };
}

/** tr(A B) */
function traceOf(a: Matrix, b: Matrix): number {
  let trace = 0;
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < a.columns; j++) trace += (a.data[i * a.columns + j] ?? 0) * (b.data[j * b.columns + i] ?? 0);
  return trace;
}
