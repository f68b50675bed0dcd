import { CircuitscopeError } from '@circuitscope/schema';

/**
 * Answers with server-sent events, one JSON value each, as `work` sends them. A reader that goes away, or cancels, aborts the
 * signal. What `work` throws becomes a last event of kind `problem`.
 */
export function streamEvents<E>(
  request: Request,
  work: (send: (event: E) => void, signal: AbortSignal) => Promise<void>,
): Response {
  const ending = new AbortController();
  const signal = AbortSignal.any([request.signal, ending.signal]);
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    async start(controller) {
      const write = (event: unknown): void => {
        if (!signal.aborted) controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\n\n`));
      };
      // Headers go out with the first bytes; a comment is no event.
      controller.enqueue(encoder.encode(': open\n\n'));
      try {
        await work(write, signal);
      } catch (error) {
        if (!signal.aborted) {
          if (!(error instanceof CircuitscopeError)) console.error(error);
          const known = error instanceof CircuitscopeError;
          write({
            kind: 'problem',
            code: known ? error.code : 'internal',
            message: known ? error.message : 'The server met an error of its own; its log has the details.',
          });
        }
      }
      if (!signal.aborted) controller.close();
    },
    cancel() {
      ending.abort();
    },
  });
  return new Response(stream, {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
  });
}
