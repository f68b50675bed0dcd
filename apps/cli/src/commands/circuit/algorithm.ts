import { modelRef } from '@circuitscope/core/architectures';
import {
  type InterchangeScore,
  interchangeAccuracy,
  type ScrubScore,
  scrubAlgorithm,
} from '@circuitscope/core/interventions';
import { type Measured, toEstimate } from '@circuitscope/core/statistics';
import { CircuitscopeError } from '@circuitscope/schema';
import { algorithmInputs } from '@circuitscope/zoo';
import { chooseEngine, executorDocument } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { interchangeText, scrubbingText } from '../../examine/algorithm-text.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { readAlignment } from '../../examine/read-alignment.ts';
import { choice, integer, shared, text, valued, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor } from '../../output/index.ts';
import { modelOption } from '../../resolve-model.ts';

const places = ['all', 'one'] as const;
const losses = ['error', 'squared', 'cross_entropy'] as const;

export const algorithm = command({
  summary: 'whether a model computes a program: exchanged variables, and causal scrubbing',
  details:
    'A program of variables stands beside the model, with an alignment: which part of which site carries each variable. Exchanging a variable between two prompts must do to the model what it does to the program; pairs in which the program then says something else are counted apart, as on the others a model left alone is right. Beside it stand wrong alignments: another variable’s place, another layer, random units of the same size. Scrubbing takes everything that the program does not read from other prompts. Programs come with models of the zoo.\n\nAn alignment in a file is {"previous": {"site": "blocks.0.attn.hook_z", "head": [3]}, "copied": {"site": "blocks.1.hook_attn_out", "units": [0, 8]}}; besides units (first, one after the last) a part may have "unit" (a list) or "directions" (orthonormal rows).',
  options: {
    model: modelOption,
    alignment: withDefault(
      text('true|heads|FILE.json', 'where the variables lie: as written, by attention (induction), or a file'),
      'true',
    ),
    variables: valued('A+B,C', 'what is exchanged; + joins variables that go together (default: each alone)', (given) =>
      given.split(',').map((set) => set.split('+').map((name) => name.trim())),
    ),
    positions: withDefault(choice(places, 'exchange a variable at all of its positions, or at one'), 'all'),
    pairs: withDefault(integer('N', 'pairs of prompts for each variable', { min: 4, max: 4096 }), 64),
    examples: withDefault(integer('N', 'prompts that are scrubbed', { min: 4, max: 4096 }), 128),
    nulls: withDefault(integer('N', 'wrong alignments of each kind', { max: 64 }), 4),
    loss: choice(losses, 'of scrubbing (default: error; squared where the output is a number)'),
    seed: shared.seed,
    threads: shared.threads,
  },
  examples: [
    { line: 'circuitscope circuit algorithm --model zoo:rasp-reverse', about: 'a compiled program: all figures are 1' },
    {
      line: 'circuitscope circuit algorithm --model zoo:induction-attn-2l/seed-0 --alignment heads',
      about: 'how far a trained model does what the induction program says',
    },
    {
      line: 'circuitscope circuit algorithm --model zoo:rasp-sort --variables key+target_pos --alignment places.json --json',
      about: 'two variables at once, by an alignment of yours, for another program',
    },
  ],
  run: async (options, io) => {
    const start = performance.now();
    const opened = await openSource(options.model, io);
    const { model, member, source } = opened;
    const program = member?.program;
    if (!member || !program) {
      throw new CircuitscopeError(
        'no_program',
        `${source} has no program to be compared with; choose a model of the zoo that has, such as zoo:rasp-reverse.`,
        { at: '--model', got: source },
      );
    }
    const { seed, pairs, positions, nulls, variables, loss, examples } = options;
    const engine = await chooseEngine(model, io);
    using bar = progress(io, 'exchanging variables');
    const settings = runSettings(options, io);
    const alignment = await readAlignment(options.alignment, opened, { engine, program, run: settings }, io);
    const inputs = algorithmInputs(member, { seed, examples: 64 });
    const question = { program, alignment, inputs, seed };
    const exchanged = await interchangeAccuracy(engine, {
      ...question,
      pairs,
      positions,
      nulls,
      ...(variables ? { variables } : {}),
      run: { ...settings, onProgress: (share) => bar.update(share / 2) },
    });
    const scrubbing = Object.hasOwn(alignment, program.output)
      ? await scrubAlgorithm(engine, {
          ...question,
          examples,
          nulls: Math.min(nulls, 2),
          ...(loss ? { loss } : {}),
          run: { ...settings, onProgress: (share) => bar.update((1 + share) / 2, 'scrubbing') },
        })
      : null;
    bar.end();
    const document = {
      kind: 'algorithm_check',
      version: 1,
      model: { ...(await modelRef(model)), source },
      program: { variables: program.variables, output: program.output },
      alignment,
      seed,
      positions,
      interchange: exchanged.map(({ score, untouched, nulls: wrong, ...rest }) => ({
        ...rest,
        untouched: estimate(untouched),
        ...scoreDocument(score),
        nulls: wrong.map(({ kind, label, predicted, ...other }) => ({
          kind,
          label,
          predicted,
          ...scoreDocument(other),
        })),
      })),
      scrubbing: scrubbing && {
        ...scrubbing,
        ...lossDocument(scrubbing),
        model: estimate(scrubbing.model),
        random: estimate(scrubbing.random),
        nulls: scrubbing.nulls.map(({ kind, label, ...score }) => ({ kind, label, ...lossDocument(score) })),
      },
      executor: executorDocument(engine),
    };
    print(io, options, documentOf(document), () => {
      const style = styleFor(io);
      const scrubbed = scrubbing
        ? scrubbingText(scrubbing, style)
        : `Not scrubbed: the alignment has no place for the output, ${program.output}.\n`;
      return `${interchangeText(exchanged, style)}\n${scrubbed}\nTime: ${numbers.duration(performance.now() - start)}\n`;
    });
  },
});

const estimate = (measured: Measured | null) => measured && toEstimate(measured);
const scoreDocument = ({ changing, unchanging }: InterchangeScore) => ({
  changing: estimate(changing),
  unchanging: estimate(unchanging),
});
const lossDocument = ({ scrubbed, recovered }: ScrubScore) => ({
  scrubbed: estimate(scrubbed),
  recovered: estimate(recovered),
});
