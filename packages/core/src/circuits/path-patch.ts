import {
  CircuitscopeError,
  type Intervention,
  type ReaderRef,
  readerLabel,
  type Site,
  type UnitRef,
  unitLabel,
} from '@circuitscope/schema';
import { countLayers, decompose, inexactSum, listSites, readerSite } from '../graph/index.ts';
import { captured, type Engine, makePlan, type Run, runPlan } from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import type { ScoreOptions } from './edge-scores.ts';
import { ablationValue, type MeasureOptions, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import type { TaskData } from './task-data.ts';

/** A path from one unit to one reader: straight, and by the MLPs between where those are computed again. */
export interface PatchedPath {
  /** A head or an MLP. */
  readonly sender: UnitRef;
  readonly receiver: ReaderRef;
  /** `recompute`: MLPs between see the sender's change and pass it on. `freeze`: only the straight path, which is an edge. */
  readonly mlps: 'recompute' | 'freeze';
}

export interface PathOptions extends ScoreOptions {
  /** How far the sender goes from its own value to the ablated one; 1, all the way, by default. */
  readonly share?: number;
}

export interface PathPatch {
  /** [example] */
  readonly whole: Float64Array;
  readonly patched: Float64Array;
  /** Whole minus patched, as a mean over examples. */
  readonly effect: number;
}

/**
 * Path patching (Wang et al. 2023; Goldowsky-Dill et al. 2023), exact. The sender gives its ablated output while all other
 * heads keep their clean ones, and MLPs and norms between are computed again or kept; what the receiver's port then reads is
 * put there in a second run, in which all else is computed.
 *
 * @throws CircuitscopeError `unknown_path` where the sender does not come before the receiver
 */
export async function pathPatch(
  engine: Engine,
  data: TaskData,
  path: PatchedPath,
  { ablation, metric, share = 1, ...options }: PathOptions,
): Promise<PathPatch> {
  const { onProgress: _, ...quiet } = options;
  const runs = await pathRuns(engine, data, ablation, quiet);
  const at = senderScope(path.sender);
  const value = ablationValue(ablation);
  const change: Intervention[] =
    share === 1
      ? [{ kind: 'write', at, op: 'set', value }]
      : [
          { kind: 'write', at, op: 'scale', value: { kind: 'const', value: 1 - share } },
          { kind: 'write', at, op: 'add', value, coefficient: share },
        ];
  const read = await readThroughPath(engine, data, path, change, runs, quiet);
  const hash = digestTensor(read);
  const { receiver } = path;
  const put: Intervention = {
    kind: 'write',
    at: { site: readerSite(receiver), ...(receiver.kind === 'head' ? { head: [receiver.head] } : {}) },
    op: 'set',
    value: { kind: 'artefact', hash },
  };
  const measured = await measure(engine, data, metric, [[], [put]], { ...quiet, artefacts: new Map([[hash, read]]) });
  const [whole, patched] = [rowValues(measured, 0), rowValues(measured, 1)];
  return { whole, patched, effect: meanOf(whole) - meanOf(patched) };
}

/** Runs that hold units on the clean prompts and, for resampling, on the corrupt ones. */
export async function pathRuns(
  engine: Engine,
  data: TaskData,
  ablation: ScoreOptions['ablation'],
  options: MeasureOptions,
): Promise<ReadonlyMap<string, Run>> {
  const clean = await sourceRuns(engine, data, 'mean', options);
  return ablation === 'resample' ? new Map([...clean, ...(await sourceRuns(engine, data, ablation, options))]) : clean;
}

/** What the receiver's port reads, [example, pos, (head,) model], when the sender is changed and other heads are held. */
async function readThroughPath(
  engine: Engine,
  data: TaskData,
  path: PatchedPath,
  change: readonly Intervention[],
  runs: ReadonlyMap<string, Run>,
  options: MeasureOptions,
): Promise<Tensor> {
  const site = readerSite(path.receiver);
  const hold = sitesBetween(engine, path).map(
    (held): Intervention => ({ kind: 'freeze', at: { site: held }, value: { kind: 'run', name: 'clean' } }),
  );
  const plan = makePlan(engine.graph, {
    interventions: [...hold, ...change],
    readouts: [{ kind: 'capture', at: { site } }],
  });
  return captured(await runPlan(engine, plan, data.clean, { ...options, runs }), site);
}

export function senderScope(sender: UnitRef): { readonly site: Site; readonly head?: number[] } {
  switch (sender.kind) {
    case 'head':
      return { site: `blocks.${sender.layer}.attn.hook_z`, head: [sender.head] };
    case 'mlp':
      return { site: `blocks.${sender.layer}.hook_mlp_out` };
    default:
      throw new CircuitscopeError(
        'unsupported_unit',
        `Paths can start at a head or an MLP, not at ${unitLabel(sender)}.`,
        { got: unitLabel(sender) },
      );
  }
}

/** Sites that keep their clean values on the way: heads from the sender's layer on, and MLPs unless they carry the change. */
export function sitesBetween({ graph }: Engine, { sender, receiver, mlps }: PatchedPath): Site[] {
  const { site: own } = senderScope(sender);
  const decomposition = decompose(graph);
  const found = decomposition.readers.find(({ reader }) => readerLabel(reader) === readerLabel(receiver));
  if (!found && !decomposition.exactSum) throw inexactSum(decomposition);
  if (!found?.writers.some((writer) => unitLabel(writer) === unitLabel(sender))) {
    throw new CircuitscopeError(
      'unknown_path',
      `There is no path from ${unitLabel(sender)} to ${readerLabel(receiver)}: the sender must come before the receiver and both must exist.`,
      { at: `${unitLabel(sender)}→${readerLabel(receiver)}` },
    );
  }
  const between = new Set<Site>();
  for (const writer of found.writers)
    if (writer.kind === 'head' || writer.kind === 'mlp') between.add(senderScope(writer).site);
  const start = sender.kind === 'head' || sender.kind === 'mlp' ? sender.layer : countLayers(graph);
  const order = listSites(graph).map(({ site }) => site);
  return order.filter((site) => {
    const layer = Number(/^blocks\.(\d+)\./.exec(site)?.[1] ?? -1);
    if (!between.has(site) || layer < start || (site === own && sender.kind === 'mlp')) return false;
    if (site.endsWith('.hook_mlp_out')) return mlps === 'freeze';
    // An MLP comes after the heads of its layer; these do not see it, except in later layers.
    return layer > start || sender.kind === 'head';
  });
}
