import { captured, type Executor, makePlan, type Prompt, runPlan } from '../plan/index.ts';
import { elementCount, type Tensor } from '../tensor/index.ts';
import type { Model } from './load-model.ts';
import { recorded, relativeError, sharedJson } from './shared-data.ts';

// A model of ours beside what transformers recorded of it in float64. For tests alone.

/** case.json of a recorded model. */
export interface RecordedCase {
  readonly runs: readonly RecordedRun[];
  readonly tolerance: {
    readonly float32: number;
    readonly float64: number;
    readonly float64_of_tensors_stored_as_F32: number;
    readonly float32_gradients: number;
    readonly float64_gradients: number;
  };
  /** By feature: how far the logits move without it. */
  readonly dropped_feature: { readonly [feature: string]: { readonly max_logit_change: number } };
}

export interface RecordedRun {
  readonly name: string;
  readonly file: string;
  readonly tokens: number[][];
  readonly attention_mask?: number[][];
  readonly logit_diff: { readonly position: number[]; readonly answer: number[]; readonly wrong_answer: number[] };
}

export function recordedCase(family: string): RecordedCase {
  return sharedJson('golden/models', family, 'case.json') as RecordedCase;
}

export interface SiteParity {
  readonly run: string;
  readonly site: string;
  /** max |got − expected| / max |expected| */
  readonly error: number;
  /** Whether the record keeps it in float64; long tensors are rounded to float32 there. */
  readonly wide: boolean;
}

export function promptOf(run: RecordedRun): Prompt {
  return run.attention_mask ? { tokens: run.tokens, mask: run.attention_mask } : { tokens: run.tokens };
}

/** Every recorded site, logit difference and loss of every run, as this executor computes it. */
export async function measureParity(model: Model, family: string, executor: Executor): Promise<SiteParity[]> {
  const found: SiteParity[] = [];
  for (const run of recordedCase(family).runs) {
    const file = recorded('golden/models', family, run.file);
    const sites = file.names.filter((site) => !/^grad\/|^(?:loss|logit_diff)$/.test(site));
    const { position, answer, wrong_answer: wrong } = run.logit_diff;
    const plan = makePlan(model.graph, {
      readouts: [
        { kind: 'logitDiff', at: { kind: 'perExample', positions: position }, answer, wrong },
        { kind: 'loss' },
        ...sites.map((site) => ({ kind: 'capture' as const, at: { site } })),
      ],
    });
    const result = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, promptOf(run));
    const compare = (site: string, got: Tensor): void => {
      const expected = file.read(site);
      const same = { shape: expected.shape, data: got.data };
      if (run.attention_mask) clearPadding(site, [same, expected], run.attention_mask);
      const wide = expected.data.length <= 256 || /^logits$|hook_resid_(pre|post)$|^ln_final\.hook_out$/.test(site);
      found.push({ run: run.name, site, error: relativeError(same, expected), wide });
    };
    for (const site of sites) compare(site, flattened(captured(result, site), file.read(site)));
    const [difference, loss] = result.results;
    if (difference?.kind !== 'logitDiff' || loss?.kind !== 'loss') throw new Error('readouts come in plan order');
    compare('logit_diff', { shape: [run.tokens.length], data: difference.tensor.data });
    compare('loss', { shape: [], data: Float64Array.of(meanLoss(loss.tensor, run)) });
  }
  return found;
}

/** Tensors over all tokens of a batch are recorded without its shape. */
function flattened(got: Tensor, expected: Tensor): Tensor {
  if (elementCount(got.shape) !== elementCount(expected.shape))
    throw new Error(`shape [${got.shape}] instead of [${expected.shape}]`);
  if (got.shape.length === expected.shape.length && got.shape.join() !== expected.shape.join())
    throw new Error(`shape [${got.shape}] instead of [${expected.shape}]`);
  return { shape: expected.shape, data: Float64Array.from(got.data) };
}

function meanLoss({ data }: Tensor, { tokens, attention_mask: mask }: RecordedRun): number {
  let counted = 0;
  tokens.forEach((row, example) => {
    for (let at = 0; at + 1 < row.length; at++)
      if ((mask?.[example]?.[at] ?? 1) !== 0 && (mask?.[example]?.[at + 1] ?? 1) !== 0) counted++;
  });
  return Array.from(data).reduce((a, b) => a + b, 0) / counted;
}

/** At padded queries the records hold zeros that mean nothing. */
export function clearPadding(entry: string, tensors: readonly Tensor[], mask: readonly (readonly number[])[]): void {
  const axis = /hook_pattern|hook_attn_scores/.test(entry) ? 2 : 1;
  for (const { shape, data } of tensors) {
    if (shape.length <= axis) continue;
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const perExample = shape.slice(1).reduce((a, b) => a * b, 1);
    for (let at = 0; at < data.length; at++) {
      const position = Math.floor(at / inner) % (shape[axis] ?? 1);
      if (mask[Math.floor(at / perExample)]?.[position] === 0) data[at] = 0;
    }
  }
}
