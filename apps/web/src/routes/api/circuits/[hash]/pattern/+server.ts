import { inTurn } from '#lib/server/busy.ts';
import { liveModel } from '#lib/server/engine.ts';
import { parseHashParam, parseIndex } from '#lib/server/parse-effect-request.ts';
import { patternOf } from '#lib/server/pattern.ts';
import { answer } from '#lib/server/problem.ts';
import { readCircuit, readTaskOf } from '#lib/server/workspace.ts';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = ({ request, params, url }) =>
  answer(request, async () => {
    const layer = parseIndex(url.searchParams.get('layer'), 'layer');
    const example = parseIndex(url.searchParams.get('example'), 'example');
    const circuit = await readCircuit(parseHashParam(params.hash));
    const task = await readTaskOf(circuit);
    const { signal } = request;
    return inTurn(signal, async () => patternOf(await liveModel(circuit), circuit, task, { layer, example, signal }));
  });
