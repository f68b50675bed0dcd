// What the prompt page asks of the server when it lets the model go on, and what comes back, event by event.

export interface GenerationRequest {
  readonly text: string;
  readonly steps: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** 0: all tokens. */
  readonly topK: number;
  /** 1: all tokens. */
  readonly topP: number;
  readonly seed: number;
  /** Texts side by side, each with draws of its own. */
  readonly count: number;
  /** Heads whose output is set to 0 all along: `0.3 1.2`. */
  readonly ablate: string;
}

export type GenerationEvent =
  /** What each text has behind the prompt now; whole, for a token may complete the character before it. */
  | { readonly kind: 'texts'; readonly texts: readonly string[]; readonly steps: number }
  /** `ended`: texts that ended by themselves, at a token that ends texts or where the context is full. */
  | { readonly kind: 'end'; readonly wallTimeMs: number; readonly tokens: number; readonly ended: number };
