import { captured, type Engine, makePlan, type RunOptions, runPlan } from '../plan/index.ts';
import { drawResamples, type Measured, meanInterval } from '../statistics/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { attentionTarget, type HeadKind, headKinds, scoreAttention } from './attention-target.ts';
import { type ModelSize, repeatedTokens, type TokenChoice } from './repeated-tokens.ts';

export interface HeadScoreOptions extends TokenChoice {
  readonly seed: number;
  /** Prompts, 32 if left out. */
  readonly examples?: number;
  /** Tokens of a half; at most 24 if left out. */
  readonly half?: number;
  /** Bootstrap resamples, 2000 if left out. */
  readonly resamples?: number;
  readonly run?: Pick<RunOptions, 'signal' | 'onProgress' | 'memoryBytes' | 'threads'>;
}

/** Mean attention on the keys that this kind of head would choose, over examples, and what even attention would give. */
export type HeadScore = Measured & { readonly chance: number };

export interface HeadScores {
  readonly layer: number;
  readonly head: number;
  readonly previousToken: HeadScore;
  readonly duplicateToken: HeadScore;
  readonly induction: HeadScore;
}

// Captured patterns of one call are kept below this, unless one example alone has more.
const captureBytes = 1 << 26;

/**
 * Scores every head as previous-token, duplicate-token and induction head on random tokens that are repeated once, over the
 * queries of the second half (Olsson et al. 2022; Elhage et al. 2021). Only patterns are captured. Intervals are BCa over
 * examples, all heads on the same resamples.
 */
export async function scoreHeads(
  engine: Engine,
  size: ModelSize,
  options: HeadScoreOptions,
): Promise<readonly HeadScores[]> {
  const { seed, examples = 32, resamples = 2000, run = {} } = options;
  const data = repeatedTokens(size, { ...options, examples });
  const length = data.tokens[0]?.length ?? 0;
  const perExample = size.layers * size.heads * length * length * 4;
  const chunk = Math.max(1, Math.min(examples, Math.floor(captureBytes / perExample)));
  const readouts = Array.from({ length: size.layers }, (_, layer) => ({
    kind: 'capture' as const,
    at: { site: patternSite(layer) },
  }));
  const plan = makePlan(engine.graph, { readouts });

  // [kind][layer × head][example]
  const scores = headKinds.map(() =>
    Array.from({ length: size.layers * size.heads }, () => new Float64Array(examples)),
  );
  const chances = headKinds.map(() => new Float64Array(examples));
  for (let start = 0; start < examples; start += chunk) {
    const tokens = data.tokens.slice(start, start + chunk);
    const progress = run.onProgress;
    const result = await runPlan(
      engine,
      plan,
      { tokens },
      { ...run, ...(progress ? { onProgress: (share) => progress((start + share * tokens.length) / examples) } : {}) },
    );
    const patterns = readouts.map(({ at }) => captured(result, at.site));
    tokens.forEach((prompt, row) => {
      headKinds.forEach((kind, of) => {
        const target = attentionTarget(kind, prompt);
        patterns.forEach((pattern, layer) => {
          for (let head = 0; head < size.heads; head++) {
            const { score, chance } = scoreAttention(patternOf(pattern, row, head), target, data.second);
            (scores[of]?.[layer * size.heads + head] as Float64Array)[start + row] = score;
            (chances[of] as Float64Array)[start + row] = chance;
          }
        });
      });
    });
  }

  const draws = drawResamples({ size: examples }, seed, resamples);
  const scored = (kind: HeadKind, at: number): HeadScore => {
    const of = headKinds.indexOf(kind);
    const chance = chances[of] as Float64Array;
    return {
      ...meanInterval(scores[of]?.[at] as Float64Array, { seed, draws }),
      chance: chance.reduce((sum, value) => sum + value, 0) / examples,
    };
  };
  return Array.from({ length: size.layers * size.heads }, (_, at) => ({
    layer: Math.floor(at / size.heads),
    head: at % size.heads,
    previousToken: scored('previousToken', at),
    duplicateToken: scored('duplicateToken', at),
    induction: scored('induction', at),
  }));
}

function patternSite(layer: number): string {
  return `blocks.${layer}.attn.hook_pattern`;
}

/** One head's [query × key] out of [example, head, query, key]. */
function patternOf({ shape, data }: Tensor, example: number, head: number): Tensor['data'] {
  const [, heads = 1, queries = 1, keys = 1] = shape;
  const from = (example * heads + head) * queries * keys;
  return data.subarray(from, from + queries * keys);
}
