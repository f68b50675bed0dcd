import { promptFacts } from '#lib/server/model-facts.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ params }) => orErrorPage(() => promptFacts(params.name));
