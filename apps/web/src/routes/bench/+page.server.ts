import { readBenchPage } from '#lib/server/bench-runs.ts';
import { orErrorPage } from '#lib/server/problem.ts';
import type { PageServerLoad } from './$types';

// One parameter at a time: what only the page looks at, such as the marked operation, asks the server for nothing.
export const load: PageServerLoad = ({ url }) =>
  orErrorPage(async () =>
    readBenchPage({
      run: url.searchParams.get('run'),
      beside: url.searchParams.get('beside'),
      reference: url.searchParams.get('reference'),
    }),
  );
