import { type Edge, Rng } from '@circuitscope/core';
import { CircuitscopeError, parseEdgeLabel } from '@circuitscope/schema';
import { type Cell, diagonal, type HandHead, handTransformer, range } from './hand-transformer.ts';
import type { CausalProgram } from './rasp/causal-program.ts';
import { truthOf, type ZooMember } from './zoo-member.ts';

// Addition modulo p by waves, in closed form: the algorithm that Nanda et al. 2023 found in a trained transformer. Tokens
// are embedded as cos and sin of w_k·a, w_k = 2πk/p, for a few k. Two heads bring those of a and b to the `=`; the MLP
// multiplies them into cos and sin of w_k·(a + b); the logit of c is Σ_k cos(w_k·(a + b − c)), largest where c = a + b.
//
// The product is exact: relu(u)·v − relu(−u)·v = u·v, two units of a gated ReLU MLP.

export interface ModularAddition {
  /** Without `zoo:`. */
  readonly name: string;
  readonly p: number;
  readonly frequencies: readonly number[];
}

/** Score by which `=` finds a and b. */
const MATCH = 100;
/** BOS a b = */
const PLACES = 4;
/** Room for prompts that score heads on repeated tokens; the added places are empty. */
const CONTEXT = 6;

export function modularAddition({ name, p, frequencies }: ModularAddition): ZooMember {
  const waves = 2 * frequencies.length;
  const [equals, bos] = [p, p + 1];
  // The stream: waves of the token, its place, waves of a, of b, and of their sum.
  const at = { token: 0, place: waves, a: waves + PLACES, b: 2 * waves + PLACES, sum: 3 * waves + PLACES };
  const waveTable = (from: number, cell: (number: number, column: number, value: number) => Cell): Cell[] =>
    range(p).flatMap((number) =>
      frequencies.flatMap((frequency, k) => {
        // Reduced first, so that equal angles have equal bits.
        const angle = (2 * Math.PI * ((frequency * number) % p)) / p;
        return [cell(number, from + 2 * k, Math.cos(angle)), cell(number, from + 2 * k + 1, Math.sin(angle))];
      }),
    );
  const bring = (place: number, to: number): HandHead => ({
    q: [[at.place + PLACES - 1, 0, 1]],
    k: [[at.place + place, 0, MATCH]],
    v: diagonal(at.token, 0, waves),
    o: diagonal(0, to, waves),
  });
  return {
    name,
    title: `Addition modulo ${p}, in closed form`,
    made: `Every weight was computed: waves of the frequencies ${frequencies.join(', ')}, two heads that bring them together, an MLP that multiplies them exactly.`,
    model: () => {
      const mlp = products(frequencies.length, at);
      return handTransformer({
        name,
        width: at.sum + waves,
        headWidth: waves,
        vocab: p + 2,
        context: CONTEXT,
        embed: waveTable(at.token, (number, column, value) => [number, column, value]),
        positions: diagonal(0, at.place, PLACES),
        layers: [{ heads: [bring(1, at.a), bring(2, at.b)], mlp }],
        inner: mlp.out.length,
        gated: true,
        unembed: waveTable(at.sum, (number, column, value) => [column, number, value]),
        bos,
      });
    },
    task: ({ seed, examples }) => {
      const rng = new Rng(seed, `zoo/${name}/task`);
      const prompt = (): number[] => [bos, rng.below(p), rng.below(p), equals];
      return {
        kind: 'task',
        version: 1,
        name,
        description: `a b = a + b modulo ${p}; the wrong answer is the sum of the corrupt prompt.`,
        metric: { kind: 'logit_diff', at: { kind: 'last' } },
        examples: range(examples).map(() => {
          const clean = prompt();
          let corrupt = prompt();
          while (sumOf(corrupt, p) === sumOf(clean, p)) corrupt = prompt();
          return { clean, corrupt, answer: sumOf(clean, p), wrongAnswer: sumOf(corrupt, p) };
        }),
      };
    },
    truth: [
      truthOf({ ablation: 'zero', metric: 'logit_diff', edges: [...asking, ...carrying] }),
      truthOf({
        ablation: 'resample',
        metric: 'logit_diff',
        edges: carrying,
        silent: asking.map((edge) => ({
          edge,
          why: 'It carries places alone, and they are the same in both prompts.',
        })),
      }),
    ],
    bos,
    tokens: [...range(p).map(String), '=', '<bos>'],
    program: causalSum(p, [equals, bos]),
    alignment: {
      tokens: { site: 'hook_embed', units: [at.token, at.token + waves], encoding: 'waves' },
      a: { site: 'blocks.0.hook_attn_out', units: [at.a, at.a + waves], encoding: 'waves' },
      b: { site: 'blocks.0.hook_attn_out', units: [at.b, at.b + waves], encoding: 'waves' },
      sum: { site: 'blocks.0.hook_mlp_out', units: [at.sum, at.sum + waves], encoding: 'waves' },
    },
    expectedFailures: [
      {
        method: 'attribution',
        edges: ['input→0.0.Q', 'input→0.0.K', 'input→0.1.Q', 'input→0.1.K'],
        why: 'One key scores 100 and the others 0, so the pattern has no slope and a gradient through queries or keys is 0.',
      },
    ],
  };
}

/** 2·4 units per frequency: cos(a + b) = cc − ss, sin(a + b) = sc + cs, each product of two signs. */
function products(frequencies: number, at: { readonly a: number; readonly b: number; readonly sum: number }) {
  const cells = { gate: [] as Cell[], in: [] as Cell[], out: [] as Cell[] };
  let unit = 0;
  for (let k = 0; k < frequencies; k++) {
    for (const [a, b, to, weight] of [
      [0, 0, 0, 1],
      [1, 1, 0, -1],
      [1, 0, 1, 1],
      [0, 1, 1, 1],
    ] as const) {
      for (const sign of [1, -1]) {
        cells.gate.push([at.a + 2 * k + a, unit, sign]);
        cells.in.push([at.b + 2 * k + b, unit, 1]);
        cells.out.push([unit, at.sum + 2 * k + to, sign * weight]);
        unit++;
      }
    }
  }
  return cells;
}

const sumOf = ([, a = 0, b = 0]: readonly number[], p: number): number => (a + b) % p;

const asking: readonly Edge[] = ['input→0.0.Q', 'input→0.0.K', 'input→0.1.Q', 'input→0.1.K'].map(parseEdgeLabel);
const carrying: readonly Edge[] = ['input→0.0.V', 'input→0.1.V', '0.0→mlp0', '0.1→mlp0', 'mlp0→logits'].map(
  parseEdgeLabel,
);

/** `a`, `b` and `sum` have their value at the `=` alone, where the model has it. */
function causalSum(p: number, [equals, bos]: readonly [number, number]): CausalProgram {
  return {
    variables: [
      { name: 'tokens', parents: [] },
      { name: 'a', parents: ['tokens'] },
      { name: 'b', parents: ['tokens'] },
      { name: 'sum', parents: ['a', 'b'] },
    ],
    output: 'sum',
    evaluate: (tokens, overrides = {}) => {
      if (tokens.length !== PLACES || tokens[0] !== bos || tokens[3] !== equals) {
        throw new CircuitscopeError('bad_prompt', 'A prompt of modular addition is BOS a b =.', {
          expected: `${bos} a b ${equals}`,
          got: tokens.join(' '),
        });
      }
      type Values = ReturnType<CausalProgram['evaluate']>[string];
      const replaced = (name: string, column: Values): Values =>
        column.map((value, at) => {
          const other = overrides[name]?.[at];
          return other === undefined ? value : other;
        });
      const atEnd = (name: string, value: number): Values => replaced(name, [null, null, null, value]);
      const read = replaced(
        'tokens',
        tokens.map((id) => (id < p ? id : null)),
      );
      const a = atEnd('a', Number(read[1]));
      const b = atEnd('b', Number(read[2]));
      return { tokens: read, a, b, sum: atEnd('sum', (Number(a[3]) + Number(b[3])) % p) };
    },
    tokenOf: (value) => (typeof value === 'number' ? value : null),
  };
}

/** The frequencies and the modulus of the trained transformer. Its closed form leads the next best by 2.41 of 5. */
export const modularAddition113 = modularAddition({
  name: 'modular-addition-closed-form',
  p: 113,
  frequencies: [14, 35, 41, 42, 52],
});

export const modularAddition13 = modularAddition({
  name: 'modular-addition-closed-form-13',
  p: 13,
  frequencies: [1, 3, 4],
});
