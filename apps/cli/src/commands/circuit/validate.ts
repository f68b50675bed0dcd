import {
  hashTask,
  numericsVersion,
  requireModelOf,
  TOOL_VERSION,
  validateCircuit,
  weightEditFinding,
} from '@circuitscope/core';
import { type Circuit, CircuitscopeError } from '@circuitscope/schema';
import { actionKey, putRecord, runRecord, saveRun } from '@circuitscope/workspace';
import { chooseEngine } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { proofText, weightEditText } from '../../examine/report-text.ts';
import { withExistingWorkspace, withWorkspace } from '../../open-workspace.ts';
import { argument, integer, required, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor } from '../../output/index.ts';
import { heldBack } from './held-back.ts';
import { loadCircuit, namesFile } from './load-circuit.ts';

export const validate = command({
  summary: 'test a circuit on examples that did not find it, against random circuits',
  details:
    'Measures faithfulness, completeness and minimality, beside random circuits of the same size; predicts from cut edges what an edit of the weights along the strongest path between heads will do, makes it, and shows both. The examples are generated from a seed that the circuit has not seen, or come from --task; those that found the circuit are left out. The tested circuit is kept as a new record.',
  options: {
    circuit: argument(required(text('HASH|FILE.json', 'a circuit of the workspace, or its record in a file'))),
    model: text('PATH|zoo:NAME', 'the model, where it no longer lies where the record says'),
    task: text('FILE.json', 'other examples of the same behaviour'),
    examples: integer('N', 'examples that are generated (default: as many as found the circuit)', {
      min: 4,
      max: 4096,
    }),
    randomCircuits: withDefault(
      integer('N', 'random circuits of the same size to compare with', { min: 20, max: 10_000 }),
      200,
    ),
    seed: integer(
      'N',
      'seed of the examples and of everything random (default: the first that the circuit has not seen)',
    ),
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope circuit validate 12ab34cd', about: 'a circuit that circuit discover has kept' },
    {
      line: 'circuitscope circuit validate ioi-circuit.json --task ioi-held-back.json --random-circuits 1000',
      about: 'a record in a file, on examples of yours',
    },
  ],
  run: async (options, io, line) => {
    const start = performance.now();
    const startedAt = Date.now();
    const open = namesFile(options.circuit, io) ? withWorkspace : withExistingWorkspace;
    await open(options, io, async (workspace) => {
      const { circuit, hash } = loadCircuit(options.circuit, workspace, io);
      const opened = await openSource(options.model ?? sourceOf(circuit), io);
      const { model, source } = opened;
      await requireModelOf(model, circuit);
      const { task, how, seed } = heldBack(options, circuit, opened, workspace, io);
      const engine = await chooseEngine(model, io);
      const { randomCircuits } = options;

      using bar = progress(io, 'testing the circuit');
      const run = { ...runSettings(options, io), onProgress: (share: number) => bar.update(share) };
      const tested = await validateCircuit(
        engine,
        model,
        { ...circuit, model: { ...circuit.model, source } },
        { record: hash, task, how, seed, randomCircuits, run },
      );
      bar.end();

      const key = actionKey({
        kind: 'circuit_validate',
        models: [circuit.model.contentHash],
        ...(circuit.model.graphHash ? { graph: circuit.model.graphHash } : {}),
        parameters: { circuit: hash, seed, randomCircuits, source },
        data: [hashTask(task)],
        numericsVersion: numericsVersion(engine.executor.info),
        toolVersion: TOOL_VERSION,
      });
      const taskHash = putRecord(workspace, task, { keep: true }).hash;
      const kept = putRecord(workspace, tested.circuit, { actionKey: key, keep: true }).hash;
      const wallTimeMs = performance.now() - start;
      saveRun(
        workspace,
        runRecord({
          actionKey: key,
          contentDigest: kept,
          startedAt,
          wallTimeMs,
          executor: engine.executor.info,
          command: line,
        }),
      );

      const weightEdit = tested.weightEdit ? weightEditFinding(tested.weightEdit) : null;
      const document = {
        kind: 'circuit_validation',
        version: 1,
        workspace: workspace.dir,
        tested: hash,
        hash: kept,
        task: taskHash,
        seed,
        examples: task.examples.length,
        weightEdit,
        circuit: tested.circuit,
      };
      print(io, options, documentOf(document), () => {
        const edit = weightEdit
          ? weightEditText(weightEdit)
          : '\nNo weight edit: the circuit has no edge between two heads.\n';
        return `${circuit.description ?? circuit.name}\n\n${proofText(tested.circuit, styleFor(io))}${edit}\nKept: circuit ${kept}\nTime: ${numbers.duration(wallTimeMs)}\n`;
      });
    });
  },
});

function sourceOf({ model, name }: Circuit): string {
  if (model.source !== undefined) return model.source;
  throw new CircuitscopeError(
    'missing_option',
    `The record of ${name} does not say where its model lies; name it with --model.`,
    { at: '--model' },
  );
}
