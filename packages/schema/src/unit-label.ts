import { CircuitscopeError } from './error.ts';
import { isHash } from './hash.ts';
import { Site } from './site.ts';
import type { ReaderRef, UnitRef } from './unit.ts';

// The text form of units and readers, for tables, URLs and command-line flags. Records never store it as an id.

/** `input`, `0.3` (head), `mlp0`, `mlp0.n17` (neuron), `attn0.bias`, `layer3.c5` (channel), `sha256:…#12`, `logits`. */
export function unitLabel(unit: UnitRef): string {
  switch (unit.kind) {
    case 'input':
    case 'embed':
    case 'pos_embed':
    case 'logits':
      return unit.kind;
    case 'head':
      return `${unit.layer}.${unit.head}`;
    case 'mlp':
      return `mlp${unit.layer}`;
    case 'neuron':
      return `mlp${unit.layer}.n${unit.neuron}`;
    case 'bias':
      return `${unit.of}${unit.layer}.bias`;
    case 'channel':
      return `layer${unit.layer}.c${unit.channel}`;
    case 'latent':
      return `${unit.dictionary}#${unit.index}`;
    case 'error':
      return `error:${unit.site}`;
  }
}

/** `1.0.K` (what head 1.0 reads for its keys), `mlp1`, `logits`. */
export function readerLabel(reader: ReaderRef): string {
  switch (reader.kind) {
    case 'head':
      return `${reader.layer}.${reader.head}.${reader.port.toUpperCase()}`;
    case 'mlp':
      return `mlp${reader.layer}`;
    case 'logits':
      return 'logits';
  }
}

/** `0.0→1.0.K`. */
export function edgeLabel(edge: { readonly from: UnitRef; readonly to: ReaderRef }): string {
  return `${unitLabel(edge.from)}→${readerLabel(edge.to)}`;
}

/** Fifteen digits are always a safe integer. */
const UNIT_FORMS: readonly (readonly [RegExp, (layer: number, index: number) => UnitRef])[] = [
  [/^(\d{1,15})\.(\d{1,15})$/, (layer, head) => ({ kind: 'head', layer, head })],
  [/^mlp(\d{1,15})$/, (layer) => ({ kind: 'mlp', layer })],
  [/^mlp(\d{1,15})\.n(\d{1,15})$/, (layer, neuron) => ({ kind: 'neuron', layer, neuron })],
  [/^layer(\d{1,15})\.c(\d{1,15})$/, (layer, channel) => ({ kind: 'channel', layer, channel })],
  [/^attn(\d{1,15})\.bias$/, (layer) => ({ kind: 'bias', layer, of: 'attn' })],
  [/^mlp(\d{1,15})\.bias$/, (layer) => ({ kind: 'bias', layer, of: 'mlp' })],
];

/** Reads what `unitLabel` writes; anything else is an error of code `bad_label`. */
export function parseUnitLabel(label: string): UnitRef {
  if (label === 'input' || label === 'embed' || label === 'pos_embed' || label === 'logits') return { kind: label };
  for (const [form, build] of UNIT_FORMS) {
    const match = form.exec(label);
    if (match) return build(Number(match[1]), Number(match[2]));
  }
  const latent = /^(sha256:[0-9a-f]+)#(\d{1,15})$/.exec(label);
  if (latent && isHash(latent[1])) return { kind: 'latent', dictionary: latent[1], index: Number(latent[2]) };
  const error = Site.safeParse(/^error:(.*)$/.exec(label)?.[1]);
  if (error.success) return { kind: 'error', site: error.data };
  throw badLabel(label, 'unit', 'input, 0.3 (layer.head), mlp0, mlp0.n17 or logits');
}

/** Reads what `readerLabel` writes, the port in either case; anything else is an error of code `bad_label`. */
export function parseReaderLabel(label: string): ReaderRef {
  if (label === 'logits') return { kind: 'logits', port: 'in' };
  const head = /^(\d{1,15})\.(\d{1,15})\.(?:(q)|(k)|v)$/i.exec(label);
  if (head)
    return { kind: 'head', layer: Number(head[1]), head: Number(head[2]), port: head[3] ? 'q' : head[4] ? 'k' : 'v' };
  const mlp = /^mlp(\d{1,15})$/.exec(label);
  if (mlp) return { kind: 'mlp', layer: Number(mlp[1]), port: 'in' };
  throw badLabel(label, 'reader', '1.0.K (layer.head.port), mlp1 or logits');
}

/** Reads what `edgeLabel` writes; `->` stands for the arrow on keyboards without one. */
export function parseEdgeLabel(label: string): { readonly from: UnitRef; readonly to: ReaderRef } {
  const [from, to, ...more] = label.split(/→|->/);
  if (from === undefined || to === undefined || more.length > 0)
    throw badLabel(label, 'edge', '0.0→1.0.K (or 0.0->1.0.K)');
  return { from: parseUnitLabel(from.trim()), to: parseReaderLabel(to.trim()) };
}

function badLabel(label: string, what: string, forms: string): CircuitscopeError {
  const got = label.slice(0, 80);
  return new CircuitscopeError('bad_label', `${JSON.stringify(got)} names no ${what}; write ${forms}.`, {
    expected: forms,
    got,
  });
}
