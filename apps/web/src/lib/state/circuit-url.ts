// What the address of a circuit page says beside the circuit: what is selected, what is cut and how, whose attention is
// shown on which example. Sharing the address shares the view; ids are opaque, so each stands in a parameter of its own.

import { LIVE_ABLATIONS, type LiveAblation, type Target } from '../live/effect.ts';

export interface CircuitView {
  readonly selected: Target | null;
  /** In the order in which they were cut. */
  readonly cuts: readonly Target[];
  /** null: the one that the circuit was found with. */
  readonly ablation: LiveAblation | null;
  /** The head whose attention is shown; null follows the selection. */
  readonly head: { readonly layer: number; readonly head: number } | null;
  readonly example: number;
}

export const START: CircuitView = { selected: null, cuts: [], ablation: null, head: null, example: 0 };

/** As many cuts as an address can hold without trouble. */
const MAX_CUTS = 64;

/** Whatever an address holds that is not understood is left out: it may come from anywhere. */
export function readView(params: URLSearchParams): CircuitView {
  const head = /^(\d{1,4})\.(\d{1,4})$/.exec(params.get('head') ?? '');
  const example = params.get('example') ?? '';
  const cuts = params
    .getAll('cut')
    .slice(0, MAX_CUTS)
    .flatMap((text) => readTarget(text) ?? []);
  return {
    selected: readTarget(params.get('select')) ?? null,
    cuts: cuts.filter((cut, index) => cuts.findIndex((other) => writeTarget(other) === writeTarget(cut)) === index),
    ablation: LIVE_ABLATIONS.find((ablation) => ablation === params.get('ablation')) ?? null,
    head: head ? { layer: Number(head[1]), head: Number(head[2]) } : null,
    example: /^\d{1,6}$/.test(example) ? Number(example) : START.example,
  };
}

/** The query string, empty for the view that a page starts with. */
export function writeView(view: CircuitView): string {
  const params = new URLSearchParams();
  if (view.selected) params.set('select', writeTarget(view.selected));
  for (const cut of view.cuts) params.append('cut', writeTarget(cut));
  if (view.ablation) params.set('ablation', view.ablation);
  if (view.head) params.set('head', `${view.head.layer}.${view.head.head}`);
  if (view.example !== START.example) params.set('example', String(view.example));
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

function writeTarget({ kind, id }: Target): string {
  return `${kind}:${id}`;
}

function readTarget(text: string | null): Target | undefined {
  const match = /^(node|edge):([\s\S]{1,256})$/.exec(text ?? '');
  if (!match?.[2]) return undefined;
  return { kind: match[1] === 'node' ? 'node' : 'edge', id: match[2] };
}
