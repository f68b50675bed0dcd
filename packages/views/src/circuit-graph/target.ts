// What can be selected, hovered or ablated in a circuit, and what the app measured when it ablated one.

export type CircuitTarget =
  | { readonly kind: 'node'; readonly id: string }
  | { readonly kind: 'edge'; readonly id: string };

/** A measured change that the graph lays over the record: it belongs to the app's session, not to the circuit. */
export interface LiveEffect {
  readonly target: CircuitTarget;
  /** "zero", "mean", "resample": how the target was cut. */
  readonly ablation: string;
  readonly metric: string;
  readonly before: number;
  readonly after: number;
}

export function sameTarget(a: CircuitTarget | null | undefined, b: CircuitTarget | null | undefined): boolean {
  return a?.kind === b?.kind && a?.id === b?.id;
}
