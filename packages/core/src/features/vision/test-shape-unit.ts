import { CircuitscopeError } from '@circuitscope/schema';
import { type Auroc, auroc } from '../../statistics/index.ts';
import { describeTuning, type Tuning } from './describe-tuning.ts';

// A claim such as "this channel detects curves" as predictions that can fail, their thresholds written down before the
// responses are looked at (N. Cammarata et al., Curve Detectors, 2020; the four claims there are kept apart). Responses
// are those before the activation function: behind it everything that does not fire is equal.

export interface ShapeUnitData {
  /** To the claimed shape, and to each kind of near-miss. */
  readonly positives: ArrayLike<number>;
  readonly nearMisses: { readonly [name: string]: ArrayLike<number> };
  /** After the activation function, by direction over a full turn; of the best radius and offset, or their mean. */
  readonly tuning: ArrayLike<number>;
  /** Of curves: [example][step], the same corner rounded from radius 0 on. */
  readonly rounding?: readonly ArrayLike<number>[];
}

export interface ShapeUnitCriteria {
  /** The lower end of each AUROC's interval must lie above it. */
  readonly auroc: number;
  readonly level: number;
  /** Of the tuning's vector strength. */
  readonly strength: number;
  /** The response to the opposite direction over that to the preferred one must lie below it. */
  readonly echo: number;
  /** Share of the rounding steps, over all examples, at which the response rises. */
  readonly rising: number;
}

/** Thresholds for oriented edges and curves alike, to be fixed with a claim before it is tested. */
export const shapeUnitCriteria: ShapeUnitCriteria = { auroc: 0.8, level: 0.95, strength: 0.3, echo: 0.1, rising: 0.9 };

export type ShapeClaim = 'selective' | 'one lobe' | 'tuned' | 'no echo' | 'rises with rounding';

export interface ShapeVerdict {
  readonly claim: ShapeClaim;
  /** What it was tested on: the name of a near-miss, or the tuning curve. */
  readonly against: string;
  readonly value: number | null;
  readonly threshold: number;
  /** Null where nothing can be said; `because` says why. */
  readonly holds: boolean | null;
  readonly because?: string;
}

export interface ShapeUnitTest {
  readonly verdicts: readonly ShapeVerdict[];
  readonly separations: { readonly [name: string]: Auroc };
  readonly tuning: Tuning;
  /** Every verdict holds; one that cannot be given does not. */
  readonly holds: boolean;
}

/** @throws CircuitscopeError `bad_attribute` without near-misses: against nothing, everything is selective */
export function testShapeUnit(data: ShapeUnitData, criteria: ShapeUnitCriteria = shapeUnitCriteria): ShapeUnitTest {
  const names = Object.keys(data.nearMisses).sort();
  if (names.length === 0) {
    throw new CircuitscopeError('bad_attribute', 'A unit is tested against near-misses; give at least one kind.');
  }
  const separations = Object.fromEntries(
    names.map((name) => [name, auroc(data.positives, data.nearMisses[name] ?? [], criteria.level)]),
  );
  const tuning = describeTuning(data.tuning, { over: 'direction' });
  const verdicts: ShapeVerdict[] = names.map((name) => selective(name, separations[name], criteria));
  const curve = { against: 'the tuning curve' };
  verdicts.push({ claim: 'one lobe', ...curve, value: tuning.lobes, threshold: 1, holds: tuning.lobes === 1 });
  const { strength: threshold } = criteria;
  verdicts.push(
    tuning.vector.kind === 'measured'
      ? {
          claim: 'tuned',
          ...curve,
          value: tuning.vector.strength,
          threshold,
          holds: tuning.vector.strength > threshold,
        }
      : { claim: 'tuned', ...curve, value: null, threshold, holds: null, because: tuning.vector.because },
  );
  verdicts.push({
    claim: 'no echo',
    ...curve,
    value: tuning.echo,
    threshold: criteria.echo,
    holds: tuning.echo === null ? null : tuning.echo < criteria.echo,
    ...(tuning.echo === null ? { because: 'the unit responds to no direction' } : {}),
  });
  if (data.rounding) verdicts.push(rising(data.rounding, criteria.rising));
  return { verdicts, separations, tuning, holds: verdicts.every(({ holds }) => holds === true) };
}

/** Classes that are wholly separate, or wholly equal, have no interval by DeLong; there their AUROC of 1 or ½ counts. */
function selective(name: string, measured: Auroc | undefined, criteria: ShapeUnitCriteria): ShapeVerdict {
  const base = { claim: 'selective', against: name, threshold: criteria.auroc } as const;
  if (!measured || measured.standardError === null) {
    return { ...base, value: null, holds: null, because: measured?.degenerate ?? 'it was not measured' };
  }
  const low = measured.interval ? measured.interval[0] : measured.value;
  return { ...base, value: low, holds: low > criteria.auroc };
}

function rising(rounding: readonly ArrayLike<number>[], threshold: number): ShapeVerdict {
  let steps = 0;
  let up = 0;
  for (const responses of rounding) {
    for (let at = 1; at < responses.length; at++) {
      steps++;
      if ((responses[at] ?? 0) > (responses[at - 1] ?? 0)) up++;
    }
  }
  const base = { claim: 'rises with rounding', against: 'corners', threshold } as const;
  if (steps === 0) return { ...base, value: null, holds: null, because: 'no corner was rounded' };
  return { ...base, value: up / steps, holds: up / steps >= threshold };
}
