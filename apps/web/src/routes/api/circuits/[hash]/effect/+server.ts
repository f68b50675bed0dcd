import { inTurn } from '#lib/server/busy.ts';
import { effectOf } from '#lib/server/effect.ts';
import { liveModel } from '#lib/server/engine.ts';
import { parseEffectRequest, parseHashParam } from '#lib/server/parse-effect-request.ts';
import { answer } from '#lib/server/problem.ts';
import { readCircuit, readTaskOf } from '#lib/server/workspace.ts';
import type { RequestHandler } from './$types';

export const POST: RequestHandler = ({ request, params }) =>
  answer(request, async () => {
    const cut = parseEffectRequest(await request.text());
    const circuit = await readCircuit(parseHashParam(params.hash));
    const task = await readTaskOf(circuit);
    return inTurn(request.signal, async () => effectOf(await liveModel(circuit), task, cut, request.signal));
  });
