import type { DecoderSpec } from '@circuitscope/core/architectures';

// What a decoder is made of, in a few words.

export function describePositions({ positions, headWidth }: DecoderSpec): string {
  switch (positions.kind) {
    case 'learned':
      return 'learned';
    case 'alibi':
      return 'ALiBi';
    case 'rotary': {
      const { base, dims, layout, scaling, local } = positions;
      const part = dims === headWidth ? '' : `, ${dims} of ${headWidth} entries`;
      const other = local ? `, ${local.base} under windows` : '';
      const scaled = scaling ? `, ${scaling.kind} scaling` : '';
      return `rotary (base ${base}${other}, ${layout === 'half' ? 'halves' : 'adjacent pairs'}${part}${scaled})`;
    }
  }
}

/** How attention and MLP stand to each other and to the stream, and what attention does besides. */
export function describeBlock({ block, attention = {}, inner }: DecoderSpec): string {
  const { norms = 'pre', residual = 'sequential' } = block ?? {};
  const order =
    inner === 0
      ? 'attention alone'
      : residual === 'sequential'
        ? 'attention, then MLP'
        : `attention and MLP side by side${residual === 'shared' ? ' behind one norm' : ''}`;
  const where = { pre: [], post: ['norms behind them'], both: ['norms before and behind them'] }[norms];
  const windows = (attention.windows ?? []).filter((window) => window !== null);
  const windowed =
    windows.length > 0 ? [`windows of ${[...new Set(windows)].join(', ')} in ${windows.length} layers`] : [];
  const qk = attention.qkNorm ? ['queries and keys normed'] : [];
  const cap = attention.softCap === undefined ? [] : [`scores capped at ${attention.softCap}`];
  return [order, ...where, ...windowed, ...qk, ...cap].join('; ');
}
