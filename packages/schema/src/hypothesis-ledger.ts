import { z } from 'zod';
import { Hash } from './hash.ts';
import { parseStored } from './parse-stored.ts';
import { index, maybe, name, record, text } from './shape.ts';

/**
 * One line of the ledger: what was locked, what came out, what went otherwise than planned, in the order in which it
 * happened. An entry's own hash is that of its canonical JSON; each names the hash of the one before, so that none can be
 * changed, moved or left out in the middle.
 */
export const LedgerEntry = record({
  kind: z.literal('ledger_entry'),
  version: z.literal(1),
  index,
  /** Absent in the first entry alone. */
  previous: maybe(Hash),
  /** ISO 8601 in UTC, as the caller gave it; no proof of time. */
  at: z.iso.datetime(),
  tool: name,
  toolVersion: name,
  body: z.discriminatedUnion('kind', [
    record({ kind: z.literal('lock'), hypothesis: Hash, name }),
    record({ kind: z.literal('outcome'), lock: Hash, outcome: Hash }),
    record({ kind: z.literal('deviation'), lock: Hash, what: text, reason: text }),
  ]),
});
export type LedgerEntry = z.infer<typeof LedgerEntry>;

export const parseLedgerEntry = (value: unknown) => parseStored(LedgerEntry, 'ledger_entry', value);
