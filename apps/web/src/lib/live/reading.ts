// What the prompt page asks of the server, and what comes back.

import type { LogitAttributionView, LogitLensView, TokenStrip } from '@circuitscope/schema';

export interface ReadingRequest {
  readonly text: string;
  /** The token that is explained, as text or `#ID`; empty: what the model itself says. */
  readonly answer: string;
  /** Its logit is subtracted; empty: nothing is. */
  readonly wrong: string;
}

export interface Reading {
  readonly strip: TokenStrip;
  readonly lens: LogitLensView | null;
  readonly attribution: LogitAttributionView | null;
  /** Why one of the two could not be made, in one sentence each. */
  readonly notes: readonly string[];
  /** [layer][head][query][key] */
  readonly patterns: readonly (readonly (readonly (readonly number[])[])[])[];
  /** The likeliest next tokens. */
  readonly next: readonly { readonly id: number; readonly text: string; readonly logProb: number }[];
}

/** Longer prompts fit neither the page nor its answer. */
export const MOST_TOKENS = 96;
