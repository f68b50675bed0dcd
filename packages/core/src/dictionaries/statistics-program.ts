import { GraphBuilder, GraphRewrite } from '../graph/index.ts';
import type { Program, Weight, Weights } from '../plan/index.ts';
import { lower } from '../plan/lower.ts';
import { DictionaryNodes } from './add-dictionary.ts';
import type { Dictionary } from './dictionary.ts';
import { versionedWeights } from './splice.ts';

// Reading and counting in one step. What lies before the product of a dictionary (a mean taken off, a length divided by) is
// what the dictionary's own graph says; its last step, which would give sparse rows, is put in the place of one that counts.

export interface StatisticsProgram {
  /** Inputs `x` [batch, pos, …], `counted` i32 [batch, pos], `before` f64 [latents, 2]; outputs as the kernel's, by name. */
  readonly program: Program;
  readonly weights: Weights;
}

/**
 * The program that counts a dictionary's latents without ever holding them.
 * @param inner sizes of what the dictionary reads at a position
 * @param examples that are kept of each latent, at least one
 * @returns null for a dictionary whose kind needs all latents of a token at once
 */
export function statisticsProgram(
  dictionary: Dictionary,
  inner: readonly number[],
  examples: number,
): StatisticsProgram | null {
  const builder = new GraphBuilder();
  const x = builder.input('x', { shape: ['batch', 'pos', ...inner], dtype: 'f32' });
  const nodes = new DictionaryNodes(builder, dictionary, { id: x, inner }, '');
  const latents = builder.add('active_csr', [nodes.read()], { attrs: { entries: 'entries', rowStarts: 'rowStarts' } });
  for (const [name, { shape }] of nodes.used) builder.param(name, shape);
  const { program } = lower(new GraphRewrite(builder.build(latents)), [{ name: 'f', node: latents }], { variants: 1 });
  const last = program.steps.at(-1);
  if (last?.kernel !== 'project_csr') return null;
  const added = [
    { shape: ['batch', 'pos'], dtype: 'i32' },
    { shape: [dictionary.latents, 2], dtype: 'f64' },
    { shape: [dictionary.latents, 2], dtype: 'f64' },
    { shape: [dictionary.latents, COUNTS], dtype: 'i32' },
    { shape: [dictionary.latents, examples], dtype: 'f32' },
    { shape: [dictionary.latents, examples], dtype: 'i32' },
  ] as const;
  // The sparse rows that nobody makes any more take no room.
  const kept = program.values.map((value, at) => (last.out.includes(at) ? { ...value, shape: [0] } : value));
  const first = kept.length;
  const [counted, before, ...out] = added.map((_, at) => first + at);
  const names = ['sums', 'counts', 'values', 'rows'];
  return {
    program: {
      ...program,
      values: [...kept, ...added.map((value, at) => ({ ...value, slot: program.slots + at }))],
      slots: program.slots + added.length,
      inputs: [...program.inputs, { name: 'counted', value: counted ?? -1 }, { name: 'before', value: before ?? -1 }],
      steps: [
        ...program.steps.slice(0, -1),
        {
          kernel: 'latent_statistics',
          in: [last.in[0] ?? -1, counted ?? -1, before ?? -1],
          out,
          params: last.params,
          attrs: { activation: last.attrs.activation ?? 'relu', examples },
        },
      ],
      outputs: names.map((name, at) => ({ name, value: out[at] ?? -1 })),
    },
    weights: new Map<string, Weight>(versionedWeights(nodes.used, dictionary)),
  };
}

/** How often a latent is active, and its histogram. */
const COUNTS = 26;
