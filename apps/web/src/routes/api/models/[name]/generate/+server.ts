import type { GenerationEvent } from '#lib/live/generation.ts';
import { continueText } from '#lib/server/generation.ts';
import { parseBody } from '#lib/server/parse-body.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import { streamEvents } from '#lib/server/stream-events.ts';
import type { RequestHandler } from './$types';

const fields = {
  text: { kind: 'text', max: 20_000 },
  steps: { kind: 'number', min: 1, max: 1024, whole: true },
  temperature: { kind: 'number', min: 0, max: 10 },
  topK: { kind: 'number', min: 0, max: 1 << 20, whole: true },
  topP: { kind: 'number', min: 0.01, max: 1 },
  seed: { kind: 'number', min: 0, max: 2 ** 31, whole: true },
  count: { kind: 'number', min: 1, max: 16, whole: true },
  ablate: { kind: 'text', max: 400 },
} as const;

export const POST: RequestHandler = ({ request, params }) =>
  orErrorPage(async () => {
    const question = await parseBody(request, fields);
    return streamEvents<GenerationEvent>(request, (send, signal) => continueText(params.name, question, send, signal));
  });
