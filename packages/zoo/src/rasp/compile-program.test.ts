import {
  captured,
  chooseExecutor,
  engineFor,
  type Floats,
  makePlan,
  partScope,
  Rng,
  readoutTensor,
  runPlan,
} from '@circuitscope/core';
import type { Intervention } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { ZooMember } from '../zoo-member.ts';
import type { CausalProgram, CausalValue } from './causal-program.ts';
import { compileProgram } from './compile-program.ts';
import { programTokens } from './program-tokens.ts';
import { raspPrograms } from './programs.ts';
import { raspMembers } from './rasp-members.ts';
import type { RaspProgram } from './rasp-program.ts';

const { executor } = await chooseExecutor();

/** Every input of one length, as prompts. */
function inputsOf(program: RaspProgram, size: number): number[][] {
  const words = program.vocabulary.length;
  return Array.from({ length: words ** size }, (_, code) => [
    0,
    ...Array.from({ length: size }, (_, place) => 1 + (Math.floor(code / words ** place) % words)),
  ]);
}

/** The logits that a value of the output should have. */
function wanted(program: RaspProgram, causal: CausalProgram, value: CausalValue): number[] {
  const { texts, answers } = programTokens(program);
  const logits = texts.map(() => 0);
  const id = answers[0]?.value === null ? answers[0].id : causal.tokenOf(value);
  if (id !== null) logits[id] = answers[0]?.value === null ? Number(value) : 1;
  return logits;
}

/** Largest distance of any logit from what the program says, over all positions but BOS. */
function distance(
  program: RaspProgram,
  causal: CausalProgram,
  values: readonly (readonly CausalValue[])[],
  logits: Floats,
) {
  let worst = 0;
  let at = 0;
  for (const column of values) {
    for (const [position, value] of column.entries()) {
      const row = wanted(program, causal, value);
      for (const [id, logit] of row.entries())
        if (position > 0) worst = Math.max(worst, Math.abs(logit - (logits[at + id] ?? Number.NaN)));
      at += row.length;
    }
  }
  return worst;
}

function causalOf(member: ZooMember): CausalProgram {
  if (!member.program) throw new Error(`${member.name} has no program`);
  return member.program;
}

for (const [index, program] of raspPrograms.entries()) {
  const member = raspMembers[index];
  if (!member) throw new Error(`no member for ${program.name}`);
  const causal = causalOf(member);

  describe(`the program ${program.name}, compiled`, () => {
    test('says what its interpreter says, on every input of every length, at every position', async () => {
      const model = member.model();
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
      for (let size = 1; size <= program.length; size++) {
        const tokens = inputsOf(program, size);
        const run = await runPlan(engineFor(model, executor), plan, { tokens });
        const values = tokens.map((prompt) => causal.evaluate(prompt)[causal.output] ?? []);
        expect(distance(program, causal, values, readoutTensor(run, 0).data)).toBeLessThan(2e-5);
      }
    });

    test('carries each variable where its alignment says: exchanging those columns exchanges the variable', async () => {
      const model = member.model();
      const engine = engineFor(model, executor);
      const task = member.task({ seed: 3, examples: 12 });
      const size = Math.max(...task.examples.map(({ clean }) => clean.length));
      const pairs = task.examples.filter(({ clean }) => clean.length === size);
      const [base, other] = [pairs.map(({ clean }) => clean), pairs.map(({ corrupt }) => corrupt)];
      const alignment = Object.entries(member.alignment ?? {});
      expect(alignment.map(([name]) => name)).toEqual(causal.variables.map(({ name }) => name));
      const sites = [...new Set(alignment.map(([, { site }]) => site))];
      const capture = makePlan(model.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
      const source = await runPlan(engine, capture, { tokens: other });
      const sweep = alignment.map(([, part]): Intervention[] => [
        { kind: 'write', at: partScope(part), op: 'set', value: { kind: 'run', name: 'source' } },
      ]);
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }], sweep });
      const run = await runPlan(engine, plan, { tokens: base }, { runs: new Map([['source', source]]) });
      const { data } = readoutTensor(run, 0);
      const each = data.length / alignment.length;
      alignment.forEach(([name], variant) => {
        const values = base.map((prompt, example) => {
          const from = causal.evaluate(other[example] ?? [])[name] ?? [];
          return causal.evaluate(prompt, { [name]: from })[causal.output] ?? [];
        });
        const logits = data.subarray(variant * each, (variant + 1) * each);
        expect(distance(program, causal, values, logits), name).toBeLessThan(2e-5);
      });
    });
  });
}

describe('a compiled program', () => {
  test('has the width, the layers and the units that the published construction gives, save for one of our own', () => {
    const shape = (name: string) => {
      const program = raspPrograms.find((one) => one.name === name);
      if (!program) throw new Error(`no program ${name}`);
      const { width, layers, units } = compileProgram(program);
      return [width, layers, units.join(' ')];
    };
    expect(Object.fromEntries(raspPrograms.map(({ name }) => [name, shape(name)]))).toEqual({
      'frac-prevs': [13, 2, '1 0'],
      'shift-by-1': [13, 1, '0'],
      hist: [17, 1, '12'],
      length: [17, 1, '12'],
      'sort-unique': [20, 2, '10 0'],
      sort: [36, 3, '16 10 0'],
      reverse: [40, 4, '12 30 10 0'],
      'pair-balance': [15, 2, '2 4'],
      'detect-pattern': [24, 3, '6 4 4'],
      'shuffle-dyck2': [52, 6, '16 14 12 7 3 4'],
    });
  });

  test('holds variables exactly: a block is one-hot or empty at every position', async () => {
    const rng = new Rng(1, 'zoo/blocks');
    const member = raspMembers.find(({ name }) => name === 'rasp-reverse');
    if (!member) throw new Error('no rasp-reverse');
    const model = member.model();
    const tokens = Array.from({ length: 8 }, () => [0, ...Array.from({ length: 5 }, () => 1 + rng.below(3))]);
    const site = 'blocks.1.hook_mlp_out';
    const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site } }] });
    const { data } = captured(await runPlan(engineFor(model, executor), plan, { tokens }), site);
    const [from, to] = member.alignment?.places_left?.units ?? [0, 0];
    expect(to - from).toBe(10);
    for (let row = 0; row < 8 * 6; row++) {
      const block = [...data.subarray(row * 40, (row + 1) * 40)];
      const inside = block.slice(from, to).filter((value) => Math.abs(value) > 1e-4);
      expect(inside.map((value) => Math.round(value))).toEqual(row % 6 === 0 ? [] : [1]);
      expect(block.filter((value, column) => value !== 0 && (column < from || column >= to))).toEqual([]);
    }
  });

  test('is refused where a variable is read before it is there, twice there, or a number where values are needed', () => {
    const [first] = raspPrograms;
    if (!first) throw new Error('no programs');
    const [isX, share] = first.variables;
    if (!isX || !share) throw new Error('no variables');
    const refuse = (variables: RaspProgram['variables'], at: string) =>
      expect(() => compileProgram({ ...first, variables })).toThrow(
        expect.objectContaining({ code: 'bad_program', at }),
      );
    refuse([share, isX], 'is_x');
    refuse([isX, isX, share], 'is_x');
    refuse(
      [isX, share, { kind: 'map', name: 'more', of: 'share_x', fn: { kind: 'add', value: 1 }, as: 'numeric' }],
      'more',
    );
    refuse(
      [
        isX,
        share,
        {
          kind: 'selector_width',
          name: 'width',
          selector: { keys: 'share_x', queries: 'tokens', predicate: { kind: 'equal' } },
        },
      ],
      'share_x',
    );
  });
});
