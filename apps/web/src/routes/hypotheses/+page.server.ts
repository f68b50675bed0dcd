import { orErrorPage } from '#lib/server/problem.ts';
import { readHypotheses } from '#lib/server/workspace.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => orErrorPage(readHypotheses);
