import { canonicalJson } from '@circuitscope/schema';
import { parseHashParam } from '#lib/server/parse-effect-request.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import { readCircuit } from '#lib/server/workspace.ts';
import type { RequestHandler } from './$types';

/** The record itself, in the bytes that its hash is of. */
export const GET: RequestHandler = ({ params }) =>
  orErrorPage(async () => {
    const hash = parseHashParam(params.hash);
    const circuit = await readCircuit(hash);
    const digits = hash.slice('sha256:'.length, 'sha256:'.length + 12);
    return new Response(canonicalJson(circuit), {
      headers: {
        'content-type': 'application/json',
        'content-disposition': `attachment; filename="circuit-${digits}.json"`,
      },
    });
  });
