import { CircuitscopeError } from './error.ts';
import { isHash } from './hash.ts';
import { Site } from './site.ts';
import type { ReaderRef, Stack, UnitRef } from './unit.ts';

// The text form of units and readers, for tables, URLs and command-line flags. Records never store it as an id.

/** What stands before the label of a part of an encoder-decoder: `enc.0.3`, `dec.mlp1`, `cross.0.3`. */
const PREFIX: { readonly [stack in Stack]: string } = { encoder: 'enc.', decoder: 'dec.', cross: 'cross.' };

const prefixOf = ({ stack }: { readonly stack?: Stack }): string => (stack === undefined ? '' : PREFIX[stack]);

/** The stack that a label begins with, and the rest of the label. */
function splitPrefix(label: string): { readonly stack?: Stack; readonly rest: string } {
  for (const stack of ['encoder', 'decoder', 'cross'] as const)
    if (label.startsWith(PREFIX[stack])) return { stack, rest: label.slice(PREFIX[stack].length) };
  return { rest: label };
}

/**
 * `input`, `0.3` (head), `mlp0`, `mlp0.n17` (neuron), `attn0.bias`, `layer3.c5` (channel), `sha256:…#12`, `logits`; in an
 * encoder-decoder `enc.input`, `dec.0.3`, `cross.0.3`, `dec.mlp0`.
 */
export function unitLabel(unit: UnitRef): string {
  switch (unit.kind) {
    case 'embed':
    case 'pos_embed':
    case 'logits':
      return unit.kind;
    case 'input':
      return `${prefixOf(unit)}input`;
    case 'head':
      return `${prefixOf(unit)}${unit.layer}.${unit.head}`;
    case 'mlp':
      return `${prefixOf(unit)}mlp${unit.layer}`;
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

/** `1.0.K` (what head 1.0 reads for its keys), `mlp1`, `logits`; in an encoder-decoder `cross.1.0.K`, `enc.mlp1`. */
export function readerLabel(reader: ReaderRef): string {
  switch (reader.kind) {
    case 'head':
      return `${prefixOf(reader)}${reader.layer}.${reader.head}.${reader.port.toUpperCase()}`;
    case 'mlp':
      return `${prefixOf(reader)}mlp${reader.layer}`;
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
  const { stack, rest } = splitPrefix(label);
  if (stack !== undefined) {
    const unit = stackUnit(stack, rest);
    if (unit) return unit;
    throw badLabel(label, 'unit', 'enc.input, dec.0.3 (layer.head), cross.0.3 or dec.mlp0');
  }
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

function stackUnit(stack: Stack, label: string): UnitRef | undefined {
  const head = /^(\d{1,15})\.(\d{1,15})$/.exec(label);
  if (head) return { kind: 'head', stack, layer: Number(head[1]), head: Number(head[2]) };
  if (stack === 'cross') return undefined;
  if (label === 'input') return { kind: 'input', stack };
  const mlp = /^mlp(\d{1,15})$/.exec(label);
  return mlp ? { kind: 'mlp', stack, layer: Number(mlp[1]) } : undefined;
}

/** Reads what `readerLabel` writes, the port in either case; anything else is an error of code `bad_label`. */
export function parseReaderLabel(label: string): ReaderRef {
  if (label === 'logits') return { kind: 'logits', port: 'in' };
  const { stack, rest } = splitPrefix(label);
  const head = /^(\d{1,15})\.(\d{1,15})\.(?:(q)|(k)|v)$/i.exec(rest);
  if (head) {
    const port = head[3] ? 'q' : head[4] ? 'k' : 'v';
    return { kind: 'head', ...(stack ? { stack } : {}), layer: Number(head[1]), head: Number(head[2]), port };
  }
  const mlp = /^mlp(\d{1,15})$/.exec(rest);
  if (mlp && stack !== 'cross') return { kind: 'mlp', ...(stack ? { stack } : {}), layer: Number(mlp[1]), port: 'in' };
  throw badLabel(label, 'reader', '1.0.K (layer.head.port), cross.1.0.K, mlp1 or logits');
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
