import { knownModels } from '#lib/server/models.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => orErrorPage(async () => ({ models: knownModels() }));
