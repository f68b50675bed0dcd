import type { z } from 'zod';
import { type Parsed, parseRecord } from './parse.ts';
import { checkStructure } from './structure.ts';
import { type RecordKind, upgrade } from './versions/upgrade.ts';

/** Reads a record that may have been written by an earlier version: upgrades it step by step, then parses it. */
export function parseStored<S extends z.ZodType>(schema: S, kind: RecordKind, value: unknown): Parsed<z.output<S>> {
  const structure = checkStructure(value);
  if ('issue' in structure) return { ok: false, issues: [structure.issue] };
  const upgraded = upgrade(value, kind);
  return upgraded.ok ? parseRecord(schema, upgraded.value, kind) : upgraded;
}
