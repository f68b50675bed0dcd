import { modelRef, numericsVersion, TOOL_VERSION } from '@circuitscope/core';
import { chooseExecutor } from '@circuitscope/core/plan';
import { CircuitscopeError, type Hash, mustParse, ZooCheck, type ZooCheckRow } from '@circuitscope/schema';
import { actionKey, putRecord, runRecord, saveRun } from '@circuitscope/workspace';
import { type CheckMethod, checkMethods, checkZoo, zooMember, zooMembers } from '@circuitscope/zoo';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { runSettings } from '../../examine/open-source.ts';
import { withWorkspace } from '../../open-workspace.ts';
import { flag, integer, shared, text, withDefault } from '../../options/index.ts';
import { note, numbers, print, progress, type Style, styleFor, table } from '../../output/index.ts';

export const check = command({
  summary: 'every discovery method on every model whose circuit is known: found against truth',
  details:
    'Cuts, ranks and searches edges by every method on every member of the zoo that has a truth, and holds the other members to what is claimed of them. A row is right when the method finds what is true (a search: exactly; a ranking: AUROC of at least 0.95), or when it goes wrong where it is written down that it must, with the reason. Anything else ends with exit code 1. The record goes to the workspace, for the page.',
  options: {
    quick: flag('small members and few examples: under two minutes'),
    members: text('NAME,NAME,…', 'only these members'),
    methods: text('NAME,NAME,…', `only these of ${checkMethods.join(', ')}`),
    seed: withDefault(integer('N', 'seed of everything random'), 11),
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope zoo check --quick', about: 'the small members, every method' },
    { line: 'circuitscope zoo check --methods eap,eap-ig --json > check.json', about: 'two methods on all' },
    { line: 'circuitscope zoo check --members rasp-reverse', about: 'one compiled program' },
  ],
  run: async (options, io, line) => {
    const members = options.members?.split(',').map((name) => zooMember(name.trim().replace(/^zoo:/, '')).name);
    const methods = options.methods?.split(',').map((name) => methodOf(name.trim()));
    const { executor, fallbackReason } = await chooseExecutor();
    if (fallbackReason !== null) note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
    const startedAt = Date.now();
    const start = performance.now();
    const times: number[] = [];
    const { record, hash } = await withWorkspace(options, io, async (workspace) => {
      using bar = progress(io, 'checking');
      const rows = await checkZoo({
        executor,
        ...(members ? { members } : {}),
        ...(methods ? { methods } : {}),
        quick: options.quick,
        seed: options.seed,
        run: runSettings(options, io),
        onRow: (_, wallTimeMs) => void times.push(wallTimeMs),
        onProgress: (share, member) => bar.update(share, member),
      });
      const parameters = {
        quick: options.quick,
        members: members ? [...members] : null,
        methods: methods ? [...methods] : null,
      };
      const record = mustParse(
        ZooCheck,
        {
          kind: 'zoo_check',
          version: 1,
          quick: options.quick,
          rows,
          provenance: {
            tool: 'circuitscope',
            toolVersion: TOOL_VERSION,
            numericsVersion: numericsVersion(executor.info),
            method: 'every discovery method against the circuits that are known',
            parameters,
            seeds: [options.seed],
            data: [],
          },
        },
        'check of the zoo',
      );
      const models: Hash[] = [];
      for (const member of zooMembers) models.push((await modelRef(member.model())).contentHash);
      const key = actionKey({
        kind: 'zoo_check',
        models,
        parameters: { ...parameters, seed: options.seed },
        data: [],
        numericsVersion: numericsVersion(executor.info),
        toolVersion: TOOL_VERSION,
      });
      const kept = putRecord(workspace, record, { actionKey: key, keep: true });
      const wallTimeMs = performance.now() - start;
      saveRun(
        workspace,
        runRecord({
          actionKey: key,
          contentDigest: kept.hash,
          startedAt,
          wallTimeMs,
          executor: executor.info,
          command: line,
        }),
      );
      return { record, hash: kept.hash };
    });
    const bad = record.rows.filter(({ outcome }) => outcome === 'wrong' || outcome === 'unexpectedly_right');
    print(
      io,
      options,
      documentOf(record),
      () =>
        `${rowsText(record.rows, times, styleFor(io))}\n${summary(record.rows)} in ${numbers.duration(performance.now() - start)}.\nKept: check ${hash}\n`,
    );
    if (bad.length > 0) {
      const [first] = bad;
      throw new CircuitscopeError(
        'zoo_check_failed',
        `${bad.length} of ${record.rows.length} rows are not as they must be, the first: ${first?.member}, ${first?.kind === 'method' ? `${first.method} (${first.ablation}, ${first.metric})` : first?.claim}.`,
      );
    }
  },
});

function methodOf(name: string): CheckMethod {
  const found = checkMethods.find((method) => method === name);
  if (found) return found;
  const known = checkMethods.join(', ');
  throw new CircuitscopeError('bad_option', `--methods takes some of ${known}, not ${name}.`, {
    at: '--methods',
    expected: known,
    got: name,
  });
}

function summary(rows: readonly ZooCheckRow[]): string {
  const count = (outcome: ZooCheckRow['outcome']): number => rows.filter((row) => row.outcome === outcome).length;
  return `${count('right')} right, ${count('fails_as_expected')} wrong where it is known that they must be, ${count('wrong') + count('unexpectedly_right')} not as they must be, ${count('baseline')} baselines, ${count('not_applicable')} not applicable`;
}

function rowsText(rows: readonly ZooCheckRow[], times: readonly number[], style: Style): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    { title: 'member' },
    { title: 'truth' },
    { title: 'method' },
    right('found'),
    right('exact'),
    right('AUROC'),
    right('same sign'),
    right('time'),
    { title: '' },
  ];
  const shown = rows.map((row, at) => {
    const time = numbers.duration(times[at] ?? 0);
    const outcome = outcomeText(row, style);
    if (row.kind === 'claim') {
      return [
        row.member,
        'claim',
        row.claim,
        '',
        '',
        row.value === undefined ? '' : numbers.number(row.value, 3),
        '',
        time,
        outcome,
      ];
    }
    return [
      row.member,
      `${row.ablation}, ${row.metric}`,
      row.method,
      row.found === undefined ? '' : `${row.found} (${row.trueEdges} of ${row.edges})`,
      row.exact === undefined ? '' : row.exact ? 'yes' : `no (${numbers.fixed(row.jaccard ?? 0, 2)})`,
      row.auroc === undefined ? '' : numbers.fixed(row.auroc, 3),
      row.sameSign === undefined ? '' : numbers.fixed(row.sameSign, 2),
      time,
      outcome,
    ];
  });
  const reasons = [...new Set(rows.flatMap(({ expected }) => (expected ? [expected] : [])))];
  const why =
    reasons.length > 0 ? `\nWhere a method must go wrong:\n${reasons.map((reason) => `- ${reason}`).join('\n')}\n` : '';
  return `${table(columns, shown, style)}${why}`;
}

function outcomeText({ outcome }: ZooCheckRow, style: Style): string {
  switch (outcome) {
    case 'right':
      return style.good('right');
    case 'wrong':
      return style.bad('wrong');
    case 'unexpectedly_right':
      return style.bad('right, though it was thought to fail');
    case 'fails_as_expected':
      return 'fails, as it must';
    case 'baseline':
      return 'baseline';
    case 'not_applicable':
      return 'not applicable';
  }
}
