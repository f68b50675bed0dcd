/** Where text goes. Bytes go out unchanged. */
export interface Sink {
  readonly write: (text: string | Uint8Array) => void;
  readonly isTerminal: boolean;
  /** Characters in a line of the terminal; 80 where there is none. */
  readonly columns: number;
}

/** Everything a command knows of the world outside, so that a test can give it another world. */
export interface Io {
  /** Results, and nothing else: what a pipe is for. */
  readonly stdout: Sink;
  /** Progress, notes and errors. */
  readonly stderr: Sink;
  readonly env: { readonly [name: string]: string | undefined };
  /** Paths that a user names are relative to this. */
  readonly cwd: string;
  /** Aborted by Ctrl-C and its kin; long work passes it on. */
  readonly signal: AbortSignal;
}
