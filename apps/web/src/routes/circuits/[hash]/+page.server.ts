import { parseHashParam } from '#lib/server/parse-effect-request.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import { readCircuit, readRunOf } from '#lib/server/workspace.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ params }) =>
  orErrorPage(async () => {
    const hash = parseHashParam(params.hash);
    const circuit = await readCircuit(hash);
    return { hash, circuit, run: await readRunOf(hash) };
  });
