import type { AttributionPart } from '@circuitscope/schema';

export type BarOrder = 'largest' | 'stream' | 'layer';

export interface BarRow {
  readonly label: string;
  readonly value: number;
  /** Where the row is one part of a layer, or a whole layer. */
  readonly layer?: number;
  readonly head?: number;
}

/** Parts as bars: the largest first, in the order of the stream, or each layer as one. Sums stay what they are. */
export function barRows(parts: readonly AttributionPart[], order: BarOrder): readonly BarRow[] {
  const rows = parts.map(
    ({ label, value, layer, head }): BarRow => ({
      label,
      value,
      ...(layer === undefined ? {} : { layer }),
      ...(head === undefined ? {} : { head }),
    }),
  );
  if (order === 'stream') return rows;
  if (order === 'largest') return rows.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const whole = new Map<string, BarRow>();
  for (const row of rows) {
    const label = row.layer === undefined ? row.label : `layer ${row.layer}`;
    const value = (whole.get(label)?.value ?? 0) + row.value;
    whole.set(label, { label, value, ...(row.layer === undefined ? {} : { layer: row.layer }) });
  }
  return [...whole.values()];
}
