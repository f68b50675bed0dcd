import type { Problem } from './effect.ts';

/**
 * Posts a question and gives the events of its answer as they come. A problem, whichever way it is told, is thrown as an
 * Error whose message is one sentence for the reader.
 */
export async function* readEvents<E extends { readonly kind: string }>(
  url: string,
  body: unknown,
  signal: AbortSignal,
): AsyncGenerator<E, void, undefined> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error('The server does not answer; is it still running?', { cause: error });
  }
  if (!response.ok || !response.body) {
    const said: unknown = await response.json().catch(() => null);
    throw new Error(isProblem(said) ? said.message : `The server answered with status ${response.status}.`);
  }
  for await (const text of blocks(response.body.pipeThrough(new TextDecoderStream()))) {
    const line = text.split('\n').find((one) => one.startsWith('data: '));
    if (line === undefined) continue;
    const event: unknown = JSON.parse(line.slice('data: '.length));
    if (isProblem(event) && 'kind' in event && event.kind === 'problem') throw new Error(event.message);
    // Our own server's events, typed on its side by the same types.
    yield event as E;
  }
}

/** What stands between blank lines. */
export async function* blocks(stream: ReadableStream<string>): AsyncGenerator<string, void, undefined> {
  let rest = '';
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string';
}
