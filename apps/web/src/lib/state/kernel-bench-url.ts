// What the address of the page of benchmarks says: which run, beside which other, against which reference, with how many
// threads, and which operation is marked. Sharing the address shares the view.

export interface KernelBenchView {
  /** A file among those that the server lists; null for the last. */
  readonly run: string | null;
  readonly beside: string | null;
  /** The implementation that ratios of the comparison are to; null for the first that both hold. */
  readonly reference: string | null;
  /** null: the most that were measured. */
  readonly threads: number | null;
  readonly operation: string | null;
}

export const START: KernelBenchView = { run: null, beside: null, reference: null, threads: null, operation: null };

const LONGEST = 512;

/** Whatever an address holds that is not understood is left out: it may come from anywhere. */
export function readView(params: Pick<URLSearchParams, 'get'>): KernelBenchView {
  const text = (name: string): string | null => {
    const value = params.get(name);
    return value === null || value === '' || value.length > LONGEST ? null : value;
  };
  const threads = /^[1-9]\d{0,3}$/.test(params.get('threads') ?? '') ? Number(params.get('threads')) : null;
  return {
    run: text('run'),
    beside: text('beside'),
    reference: text('reference'),
    threads,
    operation: text('operation'),
  };
}

/** The query string, empty for the view that the page starts with. */
export function writeView(view: KernelBenchView): string {
  const params = new URLSearchParams();
  for (const name of ['run', 'beside', 'reference', 'threads', 'operation'] as const) {
    const value = view[name];
    if (value !== null) params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
