// What the page asks of the server when somebody cuts something, and what comes back.

import type { ReaderRef, UnitRef } from '@circuitscope/schema';

export interface Edge {
  readonly from: UnitRef;
  readonly to: ReaderRef;
}

/** The ablations that can be tried live. */
export const LIVE_ABLATIONS = ['zero', 'resample'] as const;
export type LiveAblation = (typeof LIVE_ABLATIONS)[number];

/** All of it is cut at once. */
export interface EffectRequest {
  readonly edges: readonly Edge[];
  readonly units: readonly UnitRef[];
  readonly ablation: LiveAblation;
}

export interface Effect {
  readonly metric: string;
  readonly before: number;
  readonly after: number;
  readonly n: number;
  /** 95 %, over examples, of before − after: what the cut took away. */
  readonly interval?: readonly [number, number];
}

/** Attention of every head of a layer on one example of the task. */
export interface Pattern {
  readonly layer: number;
  readonly example: number;
  /** How many examples the task has. */
  readonly examples: number;
  readonly tokens: readonly string[];
  /** [head][query][key] */
  readonly heads: readonly (readonly (readonly number[])[])[];
}

/** An error of the server as the page shows it. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** Which part of a circuit is meant: a node or an edge by its id. */
export type Target = { readonly kind: 'node' | 'edge'; readonly id: string };

export const sameTarget = (a: Target | null, b: Target | null) => a?.kind === b?.kind && a?.id === b?.id;
