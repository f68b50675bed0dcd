import { health } from '#lib/server/health.ts';
import { answer } from '#lib/server/problem.ts';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = ({ request }) => answer(request, health);
