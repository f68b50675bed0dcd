import { modelParts } from '#lib/server/model-parts.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ params }) => orErrorPage(() => modelParts(params.name));
