import type { Circuit, CircuitMetric, EdgeWeight, Report } from '@circuitscope/schema';
import { numbers, properties, type Style, table } from '../output/index.ts';
import { estimate, headsText } from './heads-text.ts';

const right = (title: string) => ({ title, align: 'right' as const });

/** The report as four acts of text. */
export function reportText(report: Report, style: Style): string {
  return [
    heading('1  Model', style),
    modelText(report),
    heading('2  Features: heads by what they attend to', style),
    headsText(report.heads, style),
    ...(report.direction ? [heading('   A direction', style), directionText(report.direction)] : []),
    heading('3  Circuit', style),
    circuitText(report.circuit, style),
    heading('4  Proof, on examples that did not find it', style),
    proofText(report.circuit, style),
    ...(report.weightEdit ? [weightEditText(report.weightEdit)] : []),
    heading('Verdict', style),
    verdictText(report, style),
  ].join('\n');
}

function verdictText({ verdict }: Report, style: Style): string {
  const { holds, rule, reasons } = verdict;
  const line = holds ? style.good('The circuit holds.') : style.bad('The circuit does not hold.');
  return `${[line, ...reasons.map((reason) => `- ${reason}`), `Rule: ${rule}`].join('\n')}\n`;
}

function heading(text: string, style: Style): string {
  return style.bold(text);
}

function modelText({ model, sizes }: Report): string {
  const shared = sizes.kvHeads === sizes.heads ? '' : ` on ${sizes.kvHeads} key/value heads`;
  return properties([
    ['name', model.name],
    [
      'architecture',
      `${model.architecture}, ${numbers.count(model.parameters)} parameters (${model.dtype}), ${model.view} view`,
    ],
    [
      'sizes',
      `${sizes.layers} layers of ${sizes.heads} heads${shared}, stream ${sizes.model}, head ${sizes.head}, MLP ${sizes.mlp || 'none'}, ${sizes.vocab} tokens, context ${sizes.context}`,
    ],
    ['sites', `${sizes.sites}`],
    ['content', model.contentHash],
  ]);
}

export function directionText({
  site,
  predicate,
  auroc,
  bestCoordinate,
  effect,
}: NonNullable<Report['direction']>): string {
  const nulls = effect.random.map(
    ({ kind, count, mean, interval, p }) =>
      `${count} ${kind === 'haar' ? 'random' : 'covariance-matched'}: ${numbers.fixed(mean, 2)} [${numbers.fixed(interval[0], 2)}, ${numbers.fixed(interval[1], 2)}], p ${numbers.number(p, 2)}`,
  );
  return properties([
    ['property', `${predicate}, at ${site}`],
    [
      'AUROC, fresh',
      `${estimate(auroc, 3)}; best single coordinate (${bestCoordinate.unit}) ${estimate(bestCoordinate.auroc, 3)}`,
    ],
    [
      'projected out',
      `${effect.metric} ${numbers.fixed(effect.before, 2)} → ${numbers.fixed(effect.after, 2)}, change ${estimate(effect.change)}`,
    ],
    ...nulls.map((line, index): [string, string] => [index === 0 ? 'instead of it' : '', line]),
  ]);
}

/** The edges of the circuit with their weights in columns of their own. */
export function circuitText(circuit: Circuit, style: Style, everything = false): string {
  const edges = circuit.edges.filter(({ inCircuit }) => everything || inCircuit);
  const metric =
    circuit.edges.flatMap(({ weights }) => weights).find(({ kind }) => kind === 'patch_effect')?.unit ?? 'metric';
  const estimated = edges.some(({ weights }) => weights.some(({ kind }) => kind === 'attribution'));
  const rows = edges.map(({ id, weights, inCircuit }) => {
    const find = (wanted: (weight: EdgeWeight) => boolean): EdgeWeight | undefined => weights.find(wanted);
    const cell = (weight: EdgeWeight | undefined, decimals = 3): string =>
      weight ? numbers.fixed(weight.value, decimals) : '';
    const composition = find(({ kind }) => kind === 'composition');
    const port = id.split('.').at(-1) ?? '';
    const composed = (wanted: string): string =>
      composition && port === wanted
        ? `${numbers.fixed(composition.value, 3)} (${signed(composition.value - (composition.baseline ?? 0))})`
        : '';
    return [
      everything && inCircuit ? `${id} *` : id,
      ...(estimated ? [cell(find(({ kind }) => kind === 'attribution'))] : []),
      cell(find(({ kind, ablation }) => kind === 'patch_effect' && ablation === 'zero')),
      cell(find(({ kind, ablation }) => kind === 'patch_effect' && ablation === 'resample')),
      cell(
        find(({ kind }) => kind === 'effective_ov' || kind === 'virtual'),
        2,
      ),
      qkCell(weights),
      cell(
        find(({ kind, stage }) => kind === 'effective_qk' && stage === 'post_activation'),
        2,
      ),
      composed('Q'),
      composed('K'),
      composed('V'),
    ];
  });
  const columns = [
    { title: 'edge' },
    ...(estimated ? [right('estimate')] : []),
    right('cut: zero'),
    right('cut: resample'),
    right('OV'),
    right('QK, score'),
    right('QK, attention'),
    right('Q-comp'),
    right('K-comp'),
    right('V-comp'),
  ];
  const legend = `${estimated ? 'Estimate: the same to first order, which found the edge. ' : ''}Cut: what cutting the edge alone takes from the ${metric} (exact). OV, QK: effective weight f2ᵀ W f1 between named directions, same token minus others, signed; attention: its change after the softmax. Comp: raw (minus the random baseline).`;
  return `${circuit.description ?? ''}\n\n${table(columns, rows, style)}\n${legend}\n`;
}

/** Tokens and positions are two different pairs of directions: the larger one is shown, the record has both. */
function qkCell(weights: readonly EdgeWeight[]): string {
  const pre = weights.filter(({ kind, stage }) => kind === 'effective_qk' && stage === 'pre_activation');
  const [largest] = [...pre].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  if (!largest) return '';
  return `${numbers.fixed(largest.value, 2)}${largest.method.startsWith('position') ? ' pos' : ''}`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${numbers.fixed(Math.abs(value), 3)}`;
}

export function proofText(circuit: Circuit, style: Style): string {
  const rows = (circuit.metrics ?? []).map((metric) => [
    metric.name,
    measured(metric),
    metric.random ? randomText(metric.random) : '',
    metric.random?.p === undefined ? '' : numbers.number(metric.random.p, 2),
  ]);
  const first = circuit.metrics?.[0];
  const about = first
    ? `Shares of the range of the ${first.metric} between every edge cut (${first.ablation}) and none, over ${first.n} examples.\n`
    : '';
  return `${table([{ title: 'measure' }, right('circuit'), right('random circuits of that size'), right('p')], rows, style)}\n${about}`;
}

function measured({ value, interval }: CircuitMetric): string {
  return interval ? numbers.withInterval(value, interval) : numbers.fixed(value);
}

function randomText({ count, mean, interval, max }: NonNullable<CircuitMetric['random']>): string {
  const spread = interval ? ` [${numbers.fixed(interval[0])}, ${numbers.fixed(interval[1])}]` : '';
  return `${numbers.fixed(mean)}${spread}, max ${numbers.fixed(max ?? mean)}, of ${count}`;
}

/** What the edit of weights took, as it was predicted and as it was seen. */
export function weightEditText(edit: NonNullable<Report['weightEdit']>): string {
  const { edges, params, rank, metric, before, predicted, after, interval, controls } = edit;
  return `\n${properties([
    [
      'weight edit',
      `${params.join(', ')} loses the ${rank} dimensions that ${edges[0]?.split('→')[0] ?? 'the writer'} writes, in ${edges.length} ${edges.length === 1 ? 'head' : 'heads'}`,
    ],
    [
      'predicted',
      `${metric} ${numbers.fixed(before, 2)} → ${numbers.fixed(predicted, 2)}, from cutting ${edges.join(', ')}`,
    ],
    [
      'observed',
      `${numbers.fixed(before, 2)} → ${numbers.fixed(after, 2)}${interval ? `, change ${numbers.withInterval(before - after, interval, 2)}` : ''}`,
    ],
    [
      'random edits',
      `→ ${numbers.fixed(controls.mean, 2)} on average, ${numbers.fixed(controls.lowest, 2)} to ${numbers.fixed(controls.highest, 2)}, of ${controls.count} of that rank`,
    ],
  ])}`;
}

/** What the circuit's record says of the metric on the examples that found it. */
export function endsText({ evidence, task }: Circuit): string {
  const scores = evidence.flatMap((one) => (one.kind === 'score' ? [one] : []));
  const [whole] = scores;
  if (!whole) return '';
  const values = scores.map(({ name, value }) => `${name} ${numbers.fixed(value)}`).join('; ');
  // A logit difference below 0 prefers the wrong answers: what carries that is no circuit of the task.
  const absent = task?.metric !== 'loss' && whole.value <= 0;
  const warning = absent ? 'The whole model does not do this task: these edges carry something else.\n' : '';
  return `On the ${whole.n ?? 0} examples that found it: ${values}.\n${warning}`;
}
