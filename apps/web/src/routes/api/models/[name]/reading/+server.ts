import { inTurn } from '#lib/server/busy.ts';
import { parseBody } from '#lib/server/parse-body.ts';
import { answer } from '#lib/server/problem.ts';
import { readingOf } from '#lib/server/reading.ts';
import type { RequestHandler } from './$types';

const fields = {
  text: { kind: 'text', max: 20_000 },
  answer: { kind: 'text', max: 200 },
  wrong: { kind: 'text', max: 200 },
} as const;

export const POST: RequestHandler = ({ request, params }) =>
  answer(request, async () => {
    const question = await parseBody(request, fields);
    return inTurn(request.signal, () => readingOf(params.name, question, request.signal));
  });
