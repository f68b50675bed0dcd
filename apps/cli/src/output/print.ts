import type { Json } from '@circuitscope/schema';
import type { Io } from '../io.ts';

/**
 * A result: the document with `--json`, else the text. The text is made only when it is wanted.
 *
 * @param document plain data with a `kind`; numbers that are not finite are the caller's to leave out.
 */
export function print(io: Io, options: { readonly json: boolean }, document: Json, text: () => string): void {
  if (options.json) io.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  else {
    const body = text();
    io.stdout.write(body.endsWith('\n') ? body : `${body}\n`);
  }
}

/** A remark for people beside the result: on stderr, so that a pipe stays clean. */
export function note(io: Io, line: string): void {
  io.stderr.write(`${line}\n`);
}
