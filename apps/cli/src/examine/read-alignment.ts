import type { CausalProgram, Engine } from '@circuitscope/core';
import { type HeadScoreOptions, scoreHeads } from '@circuitscope/core/features';
import { checkAlignment } from '@circuitscope/core/interventions';
import { type Alignment, CircuitscopeError, invalidRecord, parseAlignment } from '@circuitscope/schema';
import { inductionAlignment } from '@circuitscope/zoo';
import type { Io } from '../io.ts';
import type { OpenSource } from './open-source.ts';
import { readJsonFile } from './read-json-file.ts';

/**
 * What `--alignment` means: `true`, where the model's maker put the variables; `heads`, where attention says that those of
 * induction should be; else a file.
 */
export async function readAlignment(
  given: string,
  { model, member, source, bos }: OpenSource,
  {
    engine,
    program,
    run,
  }: { readonly engine: Engine; readonly program: CausalProgram; readonly run: HeadScoreOptions['run'] },
  io: Io,
): Promise<Alignment> {
  if (given === 'true') {
    if (member?.alignment) return member.alignment;
    throw new CircuitscopeError(
      'missing_option',
      `Nobody wrote down where the variables of ${source} lie; give --alignment heads, or --alignment FILE.json.`,
      { at: '--alignment' },
    );
  }
  const alignment = given === 'heads' ? await byHeads() : fromFile();
  checkAlignment(engine.graph, program, alignment);
  return alignment;

  async function byHeads(): Promise<Alignment> {
    const names = program.variables.map(({ name }) => name);
    if (!['previous', 'match', 'copied'].every((name) => names.includes(name))) {
      throw new CircuitscopeError(
        'bad_option',
        `Heads are found for the induction program alone; its program has ${names.join(', ')}.`,
        { at: '--alignment', expected: 'true or FILE.json', got: 'heads' },
      );
    }
    return inductionAlignment(
      await scoreHeads(engine, model.spec, { seed: 0, examples: 16, bos, resamples: 200, ...(run ? { run } : {}) }),
    );
  }

  function fromFile(): Alignment {
    const parsed = parseAlignment(readJsonFile(given, 'alignment', io));
    if (!parsed.ok) throw invalidRecord(parsed.issues, `alignment in ${given}`);
    return parsed.value;
  }
}
