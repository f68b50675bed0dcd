import { type Comparison, unitLabel } from '@circuitscope/schema';
import { numbers, type Style, table } from '../output/index.ts';
import { estimate } from './heads-text.ts';

const right = (title: string) => ({ title, align: 'right' as const });

/** A comparison of models: scores beside their nulls, every model, the verdict with its rule. */
export function comparisonText(comparison: Comparison, style: Style): string {
  return [modelsText(comparison, style), scoresText(comparison, style), comparisonVerdict(comparison, style)].join(
    '\n',
  );
}

function scoresText({ scores }: Comparison, style: Style): string {
  const rows = scores.flatMap(({ score, estimate: value, nulls, missing }) => {
    const first = [score, estimate(value, 3)];
    const lines = [
      ...nulls.map(({ kind, mean, z, p }) => [
        kind.replaceAll('_', ' '),
        numbers.fixed(mean, 3),
        z === undefined ? '' : numbers.fixed(z, 1),
        numbers.number(p, 2),
      ]),
      ...missing.map(({ kind, reason }) => [kind.replaceAll('_', ' '), reason, '', '']),
    ];
    return (lines.length === 0 ? [['', '', '', '']] : lines).map((line, at) => [
      ...(at === 0 ? first : ['', '']),
      ...line,
    ]);
  });
  const columns = [
    { title: 'score' },
    right('mean over pairs'),
    { title: 'null' },
    right('its mean'),
    right('z'),
    right('p'),
  ];
  return table(columns, rows, style);
}

/** Every model that was compared, none left out: its mean over the pairs it is in. */
function modelsText({ models, scores, pairs, pairing }: Comparison, style: Style): string {
  const subjects = models.filter(({ as }) => as === 'subject');
  const controls = models.length - subjects.length;
  const rows = subjects.map(({ id }) => [
    id,
    ...scores.map(({ perModel }) => {
      const found = perModel.find(({ model }) => model === id);
      return found ? numbers.fixed(found.value, 3) : '';
    }),
  ]);
  const what = pairing === 'within' ? 'all pairs of one architecture' : 'pairs of models of different architectures';
  const about = `${subjects.length} models, ${pairs.length} pairs (${what}), ${controls} untrained models beside them. Intervals draw models, never tokens.`;
  return `${table([{ title: 'model' }, ...scores.map(({ score }) => right(score))], rows, style)}\n${about}\n`;
}

/** Which heads answer to one another in one pair. */
export function matchedText({ pairs }: Comparison, style: Style): string {
  const [pair] = pairs;
  if (!pair) return '';
  const rows = pair.matched.map(({ a, b, similarity }) => [unitLabel(a), unitLabel(b), numbers.fixed(similarity, 2)]);
  return table([{ title: pair.a }, { title: pair.b }, right('similarity')], rows, style);
}

export function comparisonVerdict({ verdict }: Comparison, style: Style): string {
  const { outcome, rule, criteria } = verdict;
  const words = {
    strong: 'Strongly universal: the same behaviour, roles, effects and edges.',
    weak: 'Weakly universal: the same behaviour by components of the same roles and effects; their edges are not the same.',
    functional: 'Functionally universal: the same behaviour by other means.',
    none: 'Not universal.',
  };
  const line = outcome === 'none' ? style.bad(words.none) : style.good(words[outcome]);
  const reasons = criteria.flatMap(({ score, passed, reasons: against }) =>
    passed ? [] : [`- ${score}: ${against.join('; ')}`],
  );
  const bounds = rule.scores.map(
    ({ score, atLeast, nulls }) =>
      `${score} ≥ ${numbers.number(atLeast, 3)} beyond ${nulls.map((kind) => kind.replaceAll('_', ' ')).join(', ') || 'no null'}`,
  );
  return `${[line, ...reasons, `Rule ${rule.id}, written before the run (α ${rule.alpha}): ${bounds.join('; ')}.`].join('\n')}\n`;
}
