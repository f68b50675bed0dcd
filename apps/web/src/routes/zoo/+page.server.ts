import { parseZooCheck } from '@circuitscope/schema';
import { zooMembers } from '@circuitscope/zoo';
import { orErrorPage } from '#lib/server/problem.ts';
import { listRecords } from '#lib/server/workspace.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () =>
  orErrorPage(async () => {
    const { records, folder } = listRecords('zoo_check', parseZooCheck);
    // The last full check, or the last one there is.
    const latest = records.find(({ record }) => !record.quick) ?? records[0] ?? null;
    const titles = Object.fromEntries(zooMembers.map(({ name, title, made }) => [name, { title, made }]));
    return { folder, check: latest, titles };
  });
