import { orErrorPage } from '#lib/server/problem.ts';
import { listTrainings } from '#lib/server/trainings.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => orErrorPage(async () => listTrainings());
