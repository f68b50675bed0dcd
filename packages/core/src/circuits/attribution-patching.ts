import { type Ablation, type Site, unitLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import { type Engine, makePlan, runPlan } from '../plan/index.ts';
import type { ScoreOptions, UnitScores } from './edge-scores.ts';
import type { Metric } from './measure.ts';
import { metricTarget } from './metric-target.ts';
import { type SiteChanges, siteChanges } from './site-changes.ts';
import { sitesOfUnit } from './sites-of-unit.ts';
import type { TaskData } from './task-data.ts';

export interface SiteAttribution {
  readonly site: Site;
  /** Axes of the site without examples and without its last axis, which is summed over; a pattern keeps all its axes. */
  readonly shape: readonly number[];
  /** −(ã − a)·∂metric/∂a, as a mean over examples: whole minus patched, to first order. */
  readonly values: Float64Array;
}

export interface AttributionPatching {
  readonly sites: readonly SiteAttribution[];
  readonly ablation: Ablation;
  readonly metric: Metric;
  readonly forwards: number;
  readonly backwards: number;
}

/**
 * Attribution patching (Nanda 2023): what patching each entry of these sites would do, to first order at the clean prompt.
 * At most three forwards and one backward, whatever the number of entries.
 * @throws CircuitscopeError `no_gradient`, `unknown_site`
 */
export async function attributionPatching(
  engine: Engine,
  data: TaskData,
  sites: readonly Site[],
  { ablation, metric, ...options }: ScoreOptions,
): Promise<AttributionPatching> {
  const target = metricTarget(metric, data);
  const changes: SiteChanges = await siteChanges(engine, data, ablation, sites, options);
  const plan = makePlan(engine.graph, {
    readouts: sites.map((site) => ({ kind: 'gradient', of: [target], wrt: { kind: 'site', at: { site } } })),
  });
  const run = await runPlan(engine, plan, data.clean, options);
  const found = sites.map((site, at): SiteAttribution => {
    const result = run.results[at];
    const gradient = result?.kind === 'gradient' ? result.tensor.data : new Float64Array(0);
    const { shape = [], change = new Float64Array(0) } = changes.sites.get(site) ?? {};
    const kept = /hook_(?:pattern|attn_scores)$/.test(site) ? shape.slice(1) : shape.slice(1, -1);
    const size = kept.reduce((a, b) => a * b, 1);
    const width = change.length / (data.examples * size);
    const values = new Float64Array(size);
    for (let entry = 0; entry < change.length; entry++) {
      const place = Math.floor(entry / width) % size;
      values[place] =
        (values[place] as number) - ((change[entry] as number) * (gradient[entry] as number)) / data.examples;
    }
    return { site, shape: kept, values: values.map((value) => value + 0) };
  });
  return { sites: found, ablation, metric, forwards: changes.forwards + 1, backwards: 1 };
}

/** Attribution of whole units, all their edges and positions together; {@link liftToEdges} makes edge scores of it. */
export async function attributionOfUnits(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  options: ScoreOptions,
): Promise<UnitScores> {
  const units = new Map(edges.map(({ from }) => [unitLabel(from), from]));
  const sites = [...new Set([...units.values()].flatMap((unit) => sitesOfUnit(engine.graph, unit)))];
  const { forwards, backwards, ...found } = await attributionPatching(engine, data, sites, options);
  const bySite = new Map(found.sites.map((one) => [one.site, one]));
  const scores = new Map<string, number>();
  for (const [label, unit] of units) {
    let sum = 0;
    for (const site of sitesOfUnit(engine.graph, unit)) {
      const { values, shape } = bySite.get(site) ?? { values: new Float64Array(0), shape: [] };
      const [, heads = 1] = shape;
      values.forEach((value, at) => {
        if (unit.kind !== 'head' || at % heads === unit.head) sum += value;
      });
    }
    scores.set(label, sum);
  }
  return {
    method: 'attribution patching',
    units: scores,
    sign: 'clean_minus_cut',
    ablation: options.ablation,
    metric: options.metric,
    forwards,
    backwards,
  };
}
