import { CircuitscopeError } from '@circuitscope/schema';
import { isHttpError, error as pageError } from '@sveltejs/kit';
import type { Problem } from '../live/effect.ts';

// Errors on their way to the page: the library's say one sentence each, which is passed on; anything else is a bug of
// ours, whose details stay in the log of the server.

const NOT_FOUND = new Set(['missing_artefact', 'bad_hash', 'unknown_model']);
/** What a browser's abort is answered with; nobody reads it. */
const CLIENT_CLOSED_REQUEST = 499;

function statusOf(code: string): number {
  if (NOT_FOUND.has(code)) return 404;
  if (code === 'cancelled') return CLIENT_CLOSED_REQUEST;
  if (code === 'busy') return 503;
  return code === 'invalid_record' ? 400 : 422;
}

/** Runs the body of an endpoint; what it throws becomes a `Problem` as JSON. */
export async function answer(request: Request, work: () => Promise<unknown>): Promise<Response> {
  try {
    return Response.json(await work());
  } catch (error) {
    if (request.signal.aborted)
      return problem(CLIENT_CLOSED_REQUEST, { code: 'cancelled', message: 'The request was cancelled.' });
    if (error instanceof CircuitscopeError)
      return problem(statusOf(error.code), { code: error.code, message: error.message });
    console.error(error);
    return problem(500, { code: 'internal', message: 'The server met an error of its own; its log has the details.' });
  }
}

/** The same for a page: what the library says becomes the error page's sentence. */
export async function orErrorPage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isHttpError(error) || !(error instanceof CircuitscopeError)) throw error;
    return pageError(statusOf(error.code), error.message, { code: error.code });
  }
}

const problem = (status: number, body: Problem) => Response.json(body, { status });
