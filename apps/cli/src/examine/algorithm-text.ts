import type { InterchangeAccuracy, NullScore, Scrubbing } from '@circuitscope/core/interventions';
import type { Measured } from '@circuitscope/core/statistics';
import { numbers, type Style, table } from '../output/index.ts';

export function interchangeText(results: readonly InterchangeAccuracy[], style: Style): string {
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    { title: 'exchanged' },
    right('changing pairs'),
    right('agrees'),
    right('unchanging pairs'),
    right('agrees'),
    right('untouched'),
    { title: 'best wrong alignment' },
  ];
  const rows = results.map(({ variables, score, untouched, nulls }) => [
    variables.join(' + '),
    numbers.count(score.changing?.n ?? 0),
    shown(score.changing),
    numbers.count(score.unchanging?.n ?? 0),
    shown(score.unchanging),
    untouched ? numbers.fixed(untouched.value) : '–',
    bestNull(nulls),
  ]);
  return table(columns, rows, style);
}

export function scrubbingText(scrubbing: Scrubbing, style: Style): string {
  const { recovered, scrubbed, model, random, nodes, nulls, loss, examples } = scrubbing;
  const losses = `Loss (${loss.replace('_', ' ')}) over ${examples} prompts: model ${numbers.number(model.value)}, scrubbed ${numbers.number(scrubbed.value)}, of a random prompt ${numbers.number(random.value)}\n`;
  const head = recovered
    ? `Scrubbed: ${shown(recovered)} of what the model does is left\n`
    : 'Scrubbed: nothing to recover, the model says the same of every prompt of a length\n';
  const wrong = nulls.map(({ kind, label, recovered: left }) => [kind, label, shown(left)]);
  return [
    head,
    losses,
    table(
      [{ title: 'node' }, { title: 'computed from' }, { title: 'other prompts that agree', align: 'right' }],
      nodes.map(({ variable, parents, alternatives }) => [
        variable,
        parents.join(', ') || '–',
        numbers.fixed(alternatives, 1),
      ]),
      style,
    ),
    wrong.length > 0
      ? table([{ title: 'all wrong' }, { title: 'how' }, { title: 'recovered', align: 'right' }], wrong, style)
      : '',
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** A share with its interval; – where there is nothing to have a share of. */
function shown(measured: Measured | null): string {
  if (!measured) return '–';
  return measured.interval ? numbers.withInterval(measured.value, measured.interval) : numbers.fixed(measured.value);
}

/** The wrong alignment that does best, among those that the program can tell from the right one. */
function bestNull(nulls: readonly NullScore[]): string {
  const telling = nulls.filter(({ changing, predicted }) => changing && (predicted === null || predicted[1] < 1));
  const [best] = [...telling].sort((a, b) => (b.changing?.value ?? 0) - (a.changing?.value ?? 0));
  return best ? `${numbers.fixed(best.changing?.value ?? 0)} ${best.kind}: ${best.label}` : '–';
}
