// How large a node is drawn and what of its text fits in. Widths are estimated from the number of letters: measuring
// text would tie the layout to a document, and an even estimate keeps boxes of one row alike.

import type { CircuitNode, Port } from '@circuitscope/schema';
import { nodeText } from './text.ts';

export interface NodeBox {
  readonly width: number;
  /** The unit. */
  readonly name: string;
  /** The record's label, or nothing where it does not fit. */
  readonly label: string;
  /** Reading ports at the lower edge, by their distance from the middle. */
  readonly ports: readonly { readonly port: Port; readonly dx: number }[];
}

const LABEL_LETTERS = 22;

/** `room` is the width that the fullest row leaves to each node, `label` what the record calls it. */
export function nodeBox(node: CircuitNode, label: string | undefined, room: number, compact: boolean): NodeBox {
  const name = nodeText(node);
  const isHead = node.unit.kind === 'head';
  if (compact) {
    const width = clamp(name.length * 6.4 + 10, 28, Math.max(28, room));
    return { width, name: fit(name, width, 6.2), label: '', ports: isHead ? headPorts(width / 3.4) : [] };
  }
  const wanted = label === undefined || label === name ? '' : clip(label, LABEL_LETTERS);
  const bare = clamp(name.length * 7.6 + 26, isHead ? 58 : 64, Math.max(isHead ? 84 : 72, room));
  const withLabel = name.length * 7.6 + wanted.length * 6.2 + 34;
  const shows = wanted !== '' && withLabel <= room;
  const width = shows ? Math.max(withLabel, bare) : Math.max(bare, isHead ? Math.min(84, room) : bare);
  return {
    width,
    name: fit(name, width - 14, 7.6),
    label: shows ? wanted : '',
    ports: isHead ? headPorts(width / 3) : [],
  };
}

/** Distance of a port from the middle of the box. */
export function portDx(box: Pick<NodeBox, 'ports'>, port: Port): number {
  return box.ports.find((candidate) => candidate.port === port)?.dx ?? 0;
}

function headPorts(dx: number): NodeBox['ports'] {
  return [
    { port: 'q', dx: -dx },
    { port: 'k', dx: 0 },
    { port: 'v', dx },
  ];
}

function fit(text: string, width: number, letter: number): string {
  return clip(text, Math.max(3, Math.floor(width / letter)));
}

function clip(text: string, length: number): string {
  const letters = [...text];
  return letters.length <= length ? text : `${letters.slice(0, length - 1).join('')}…`;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
