import { orErrorPage } from '#lib/server/problem.ts';
import { listCircuits } from '#lib/server/workspace.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => orErrorPage(listCircuits);
