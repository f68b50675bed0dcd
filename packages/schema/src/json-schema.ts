import { z } from 'zod';
import { BenchEnd, BenchResult, BenchRun } from './bench.ts';
import { BenchMachine } from './bench-machine.ts';
import { Captures } from './captures.ts';
import { Circuit, CircuitForm } from './circuit.ts';
import { CircuitEdge } from './circuit-edge.ts';
import { CircuitMetric } from './circuit-metric.ts';
import { CircuitNode } from './circuit-node.ts';
import { Comparison } from './comparison.ts';
import { EdgeWeight } from './edge-weight.ts';
import { CircuitscopeError } from './error.ts';
import { Estimate } from './estimate.ts';
import { Evidence } from './evidence.ts';
import { Feature } from './feature.ts';
import { Hash } from './hash.ts';
import { Hypothesis } from './hypothesis.ts';
import { Condition } from './hypothesis-decision.ts';
import { LedgerEntry } from './hypothesis-ledger.ts';
import { HypothesisOutcome } from './hypothesis-outcome.ts';
import { Intervention } from './intervention.ts';
import { Json } from './json.ts';
import { LatentStatistics } from './latent-statistics.ts';
import { LogitAttributionView } from './logit-attribution.ts';
import { LogitLensView } from './logit-lens.ts';
import { ModelRef } from './model.ts';
import { ModelBlocks } from './model-blocks.ts';
import { Patching } from './patching.ts';
import { Plan } from './plan.ts';
import { Provenance } from './provenance.ts';
import { Readout } from './readout.ts';
import { Report } from './report.ts';
import { RunRecord } from './run-record.ts';
import { Pos, Scope } from './scope.ts';
import { Site } from './site.ts';
import { Task } from './task.ts';
import { TokenStrip } from './token-strip.ts';
import { ReaderRef, UnitRef } from './unit.ts';
import { Value } from './value.ts';
import { ZooCheck } from './zoo-check.ts';

const RECORDS = {
  bench_run: BenchRun,
  bench_result: BenchResult,
  bench_end: BenchEnd,
  bench_machine: BenchMachine,
  captures: Captures,
  circuit: Circuit,
  circuit_edge: CircuitEdge,
  circuit_metric: CircuitMetric,
  circuit_node: CircuitNode,
  comparison: Comparison,
  zoo_check: ZooCheck,
  edge_weight: EdgeWeight,
  estimate: Estimate,
  evidence: Evidence,
  feature: Feature,
  hash: Hash,
  hypothesis: Hypothesis,
  hypothesis_outcome: HypothesisOutcome,
  intervention: Intervention,
  latent_statistics: LatentStatistics,
  ledger_entry: LedgerEntry,
  logit_attribution: LogitAttributionView,
  logit_lens: LogitLensView,
  model: ModelRef,
  model_blocks: ModelBlocks,
  patching: Patching,
  plan: Plan,
  pos: Pos,
  provenance: Provenance,
  reader: ReaderRef,
  readout: Readout,
  report: Report,
  run: RunRecord,
  scope: Scope,
  site: Site,
  task: Task,
  token_strip: TokenStrip,
  unit: UnitRef,
  value: Value,
} as const satisfies Record<string, z.ZodType>;

export type SchemaName = keyof typeof RECORDS;

/** The records that `jsonSchema` knows, sorted. */
export const schemaNames: readonly SchemaName[] = Object.keys(RECORDS).filter(isSchemaName).sort();

/**
 * JSON Schema (draft 2020-12) of a record, self-contained, with the records it is made of under `$defs`. It says
 * the shape; conditions between fields (references, equal lengths, signs of weights) are checked by the parser alone.
 */
export function jsonSchema(name: string): z.core.JSONSchema.BaseSchema {
  if (!isSchemaName(name)) {
    const expected = schemaNames.join(', ');
    throw new CircuitscopeError('unknown_schema', `There is no schema ${name}; choose one of ${expected}.`, {
      expected,
      got: name,
    });
  }
  return z.toJSONSchema(RECORDS[name], {
    target: 'draft-2020-12',
    io: 'input',
    metadata: namesWithin(name),
    // `readOnly` would say that a server ignores the key; here it only means that parsed records are frozen.
    override: ({ jsonSchema }) => {
      delete jsonSchema.readOnly;
    },
  });
}

/** Every record but the asked one is named, so that it becomes an entry of `$defs` where it is used. */
function namesWithin(root: SchemaName) {
  const names = z.registry<{ id: string }>();
  names.add(CircuitForm, { id: 'nested_circuit' });
  names.add(Json, { id: 'json' });
  names.add(Condition, { id: 'condition' });
  for (const name of schemaNames) if (name !== root) names.add(RECORDS[name], { id: name });
  return names;
}

function isSchemaName(name: string): name is SchemaName {
  return Object.hasOwn(RECORDS, name);
}
