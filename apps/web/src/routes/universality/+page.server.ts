import { listComparisons } from '#lib/server/comparisons.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => orErrorPage(listComparisons);
