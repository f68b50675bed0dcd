import type { PatchEvent } from '#lib/live/patch.ts';
import { parseBody } from '#lib/server/parse-body.ts';
import { patchPrompts } from '#lib/server/patch.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import { streamEvents } from '#lib/server/stream-events.ts';
import type { RequestHandler } from './$types';

const fields = {
  clean: { kind: 'text', max: 20_000 },
  corrupt: { kind: 'text', max: 20_000 },
  answer: { kind: 'text', max: 200 },
  wrong: { kind: 'text', max: 200 },
  grid: { kind: 'text', max: 40 },
  direction: { kind: 'text', max: 40 },
  metric: { kind: 'text', max: 40 },
} as const;

export const POST: RequestHandler = ({ request, params }) =>
  orErrorPage(async () => {
    const question = await parseBody(request, fields);
    return streamEvents<PatchEvent>(request, (send, signal) => patchPrompts(params.name, question, send, signal));
  });
