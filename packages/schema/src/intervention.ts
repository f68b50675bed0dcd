import { z } from 'zod';
import { Hash } from './hash.ts';
import { Scope } from './scope.ts';
import { finite, index, maybe, name, record } from './shape.ts';
import { Site } from './site.ts';
import { ReaderRef, UnitRef } from './unit.ts';
import { Value, WeightValue } from './value.ts';

/** Writes a site: `set` x ← v, `add` x ← x + coefficient·v, `scale` x ← x·v. Zero ablation sets const 0, a patch sets a run. */
const Write = record({
  kind: z.literal('write'),
  at: Scope,
  op: z.enum(['set', 'add', 'scale']),
  value: Value,
  coefficient: maybe(finite),
});

/**
 * Along a direction u of unit length: `project_out` x ← x − (x·u)u, `steer` x ← x + value·u, `clamp` x ← x + (value − x·u)u.
 */
const AlongDirection = record({
  kind: z.literal('direction'),
  at: Scope,
  op: z.enum(['project_out', 'steer', 'clamp']),
  direction: Hash,
  value: maybe(finite),
}).refine(({ op, value }) => (op === 'project_out') === (value === undefined), {
  path: ['value'],
  error: 'steer and clamp need a value, project_out takes none',
});

/** What one reader sees of one writer becomes `value`; all other readers see the writer as it is. */
const CutEdge = record({ kind: z.literal('edge'), from: UnitRef, to: ReaderRef, value: Value });

/** The site keeps `value` whatever happens before it. */
const Freeze = record({ kind: z.literal('freeze'), at: Scope, value: Value });

/** The site keeps its value; gradients do not pass through it. It says nothing about values, so any plan without gradients refuses it. */
const Detach = record({ kind: z.literal('detach'), at: record({ site: Site }) });

/** Changes a copy of a weight, whole or one head, row, column; the model stays as it is. */
const EditWeight = record({
  kind: z.literal('weight'),
  param: name,
  head: maybe(index),
  row: maybe(index),
  column: maybe(index),
  op: z.enum(['set', 'add', 'scale']),
  value: WeightValue,
});

/** One change to a run, as data. A plan applies its interventions in the order of its list. */
export const Intervention = z.discriminatedUnion('kind', [Write, AlongDirection, CutEdge, Freeze, Detach, EditWeight]);
export type Intervention = z.infer<typeof Intervention>;
