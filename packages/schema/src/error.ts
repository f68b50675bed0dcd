/** What an error was about, as data: where it happened, what was expected there, what was found. */
export interface ErrorDetail {
  readonly at?: string;
  readonly expected?: string;
  readonly got?: string;
  readonly cause?: unknown;
}

/**
 * The one error class of the library. `code` is stable and for programs; `message` is one sentence for people that says
 * what to do next.
 */
export class CircuitscopeError extends Error {
  override readonly name = 'CircuitscopeError';
  readonly code: string;
  declare readonly at?: string;
  declare readonly expected?: string;
  declare readonly got?: string;

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, 'cause' in detail ? { cause: detail.cause } : undefined);
    this.code = code;
    if (detail.at !== undefined) this.at = detail.at;
    if (detail.expected !== undefined) this.expected = detail.expected;
    if (detail.got !== undefined) this.got = detail.got;
  }
}
