import type { Effect, EffectRequest, Pattern, Problem } from './effect.ts';
import type { Reading, ReadingRequest } from './reading.ts';

// The pages' questions to their server. What goes wrong becomes an Error whose message is one sentence for the reader.

export function askEffect(hash: string, request: EffectRequest, signal: AbortSignal): Promise<Effect> {
  return ask(`/api/circuits/${hash}/effect`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
}

export function askPattern(hash: string, layer: number, example: number, signal: AbortSignal): Promise<Pattern> {
  return ask(`/api/circuits/${hash}/pattern?layer=${layer}&example=${example}`, { signal });
}

export function askReading(name: string, request: ReadingRequest, signal: AbortSignal): Promise<Reading> {
  return ask(`/api/models/${encodeURIComponent(name)}/reading`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
}

async function ask<T>(url: string, options: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Error('The server does not answer; is it still running?', { cause: error });
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok)
    throw new Error(isProblem(body) ? body.message : `The server answered with status ${response.status}.`);
  // Our own server's answer, typed on its side by the same types.
  return body as T;
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string';
}
