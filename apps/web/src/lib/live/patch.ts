// What the patching page asks of the server, and what comes back, event by event.

import type { Patching, PatchMetric } from '@circuitscope/schema';

/** As `circuitscope model patch --grid` names them. */
export const PATCH_GRIDS = [
  { value: 'resid', label: 'stream before each layer' },
  { value: 'block', label: 'stream, attention, MLP' },
  { value: 'head', label: 'heads' },
  { value: 'head-position', label: 'heads by position' },
  { value: 'ports', label: 'z, q, k, v and pattern of heads' },
  { value: 'ports-position', label: 'z, q, k, v and pattern by position' },
  { value: 'pattern', label: 'cells of patterns' },
] as const;
export type PatchGridName = (typeof PATCH_GRIDS)[number]['value'];

export interface PatchRequest {
  readonly clean: string;
  readonly corrupt: string;
  readonly answer: string;
  readonly wrong: string;
  readonly grid: PatchGridName;
  readonly direction: 'denoise' | 'noise';
  readonly metric: PatchMetric;
}

export type PatchEvent =
  /** `leftMs`: at the pace so far; null while nothing is done. */
  | { readonly kind: 'progress'; readonly share: number; readonly leftMs: number | null }
  | { readonly kind: 'patching'; readonly patching: Patching; readonly wallTimeMs: number };
