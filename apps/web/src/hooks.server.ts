import type { Handle, HandleServerError } from '@sveltejs/kit/hooks';
import { refusal } from '#lib/server/access.ts';

const exposed = process.env.CIRCUITSCOPE_EXPOSE === '1';

/** Beside the content security policy, which vite.config.ts states. */
const headers = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
} as const;

export const handle: Handle = async ({ event, resolve }) => {
  const { request } = event;
  const reason = refusal(
    {
      method: request.method,
      host: request.headers.get('host'),
      origin: request.headers.get('origin'),
      fetchSite: request.headers.get('sec-fetch-site'),
      address: event.getClientAddress(),
    },
    exposed,
  );
  if (reason !== null) return new Response(`${reason}\n`, { status: 403, headers: { 'content-type': 'text/plain' } });
  const response = await resolve(event);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
};

/** A bug keeps its stack in the log of the server; the page says that it was one. */
export const handleError: HandleServerError = ({ kind, error }) => {
  if (kind !== 'unknown') return undefined;
  console.error(error);
  return { message: 'The server met an error of its own; its log has the details.' };
};
