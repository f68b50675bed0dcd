// What a person has chosen in one circuit graph, and what follows from it. Selection and filters are one view, so undo
// and redo move through both; hover and search come and go without history. No markup and no layout.

import type { Circuit, CircuitEdge, CircuitNode } from '@circuitscope/schema';
import { change, type History, redo, settle, startHistory, undo } from './history.ts';
import type { CircuitTarget } from './target.ts';
import { sameTarget } from './target.ts';
import { edgeText, unitText } from './text.ts';
import { chosenWeight, findChoice, listWeightChoices } from './weight-choice.ts';

export interface GraphView {
  readonly target: CircuitTarget | null;
  /** Key of the weight choice; undefined until one was picked, then the first column stands. */
  readonly weight: string | undefined;
  /** Edges below this share (0 … 1) of the largest |weight| are left out; a share survives a change of the column. */
  readonly minShare: number;
  readonly circuitOnly: boolean;
}

export class CircuitGraphState {
  readonly #read: () => Circuit;
  #history: History<GraphView> = $state.raw(
    startHistory<GraphView>({ target: null, weight: undefined, minShare: 0, circuitOnly: false }),
  );
  #hover: CircuitTarget | null = $state.raw(null);
  query = $state('');

  readonly circuit = $derived.by(() => this.#read());
  readonly nodes: ReadonlyMap<string, CircuitNode> = $derived(
    new Map(this.circuit.nodes.map((node) => [node.id, node])),
  );
  readonly edges: ReadonlyMap<string, CircuitEdge> = $derived(
    new Map(this.circuit.edges.map((edge) => [edge.id, edge])),
  );
  readonly labels: ReadonlyMap<string, string> = $derived(
    new Map(this.circuit.edges.map((edge) => [edge.id, edgeText(edge, this.nodes)])),
  );
  /** What a node is called: its own label, else that of a feature of the circuit that is this unit. */
  readonly nodeLabels: ReadonlyMap<string, string> = $derived.by(() => {
    const roles = new Map<string, string>();
    for (const feature of this.circuit.features ?? []) {
      if (
        (feature.kind === 'head' ||
          feature.kind === 'neuron' ||
          feature.kind === 'latent' ||
          feature.kind === 'channel') &&
        feature.label
      )
        roles.set(unitText(feature), feature.label);
    }
    return new Map(
      this.circuit.nodes.flatMap((node) => {
        const label = node.label ?? roles.get(unitText(node.unit));
        return label === undefined ? [] : [[node.id, label] as const];
      }),
    );
  });
  readonly choices = $derived(listWeightChoices(this.circuit));
  readonly choice = $derived.by(() => findChoice(this.choices, this.view.weight));
  /** The chosen number of every edge that has it. */
  readonly values: ReadonlyMap<string, number> = $derived.by(() => {
    const { choice } = this;
    if (!choice) return new Map();
    return new Map(
      this.circuit.edges.flatMap((edge) => {
        const chosen = chosenWeight(edge, choice);
        return chosen ? [[edge.id, chosen.value] as const] : [];
      }),
    );
  });
  /** Largest |weight| of the chosen column; 0 where all are 0 or none is held. */
  readonly largest = $derived.by(() => {
    let largest = 0;
    for (const value of this.values.values()) largest = Math.max(largest, Math.abs(value));
    return largest;
  });
  readonly shown: readonly CircuitEdge[] = $derived.by(() => this.circuit.edges.filter((edge) => this.#passes(edge)));
  readonly shownIds: ReadonlySet<string> = $derived(new Set(this.shown.map((edge) => edge.id)));
  /** Shown edges whose label holds the search text, in the order of the record. */
  readonly matches: readonly CircuitEdge[] = $derived.by(() => {
    const wanted = this.query.trim().toLowerCase().replace('->', '→');
    return wanted === '' ? [] : this.shown.filter((edge) => this.labels.get(edge.id)!.toLowerCase().includes(wanted));
  });

  constructor(circuit: () => Circuit, weight?: string) {
    this.#read = circuit;
    if (weight !== undefined) this.#history = startHistory({ ...this.#history.now, weight });
  }

  get view(): GraphView {
    return this.#history.now;
  }

  /** The selected node or edge, if the circuit still has it: a new record may come in at any time. */
  get target(): CircuitTarget | null {
    const { target } = this.view;
    if (!target) return null;
    return (target.kind === 'node' ? this.nodes : this.edges).has(target.id) ? target : null;
  }

  get canUndo(): boolean {
    return this.#history.past.length > 0;
  }

  get canRedo(): boolean {
    return this.#history.future.length > 0;
  }

  get hover(): CircuitTarget | null {
    return this.#hover;
  }

  /** What the pointer is over. The same again changes nothing: pointers report every pixel. */
  point(target: CircuitTarget | null): void {
    if (!sameTarget(target, this.#hover)) this.#hover = target;
  }

  select(target: CircuitTarget | null): void {
    if (!sameTarget(target, this.view.target)) this.#change({ target });
  }

  chooseWeight(weight: string): void {
    if (weight !== this.choice?.key) this.#change({ weight });
  }

  /** Steps of one drag are one step of undo, until `settleThreshold`. */
  setMinShare(minShare: number): void {
    this.#change({ minShare: Math.min(1, Math.max(0, minShare)) }, 'minShare');
  }

  settleThreshold(): void {
    this.#history = settle(this.#history);
  }

  setCircuitOnly(circuitOnly: boolean): void {
    this.#change({ circuitOnly });
  }

  undo(): void {
    this.#history = undo(this.#history);
  }

  redo(): void {
    this.#history = redo(this.#history);
  }

  /** Shown edges at a node: those of the circuit first, then by size. */
  edgesOf(node: string): readonly CircuitEdge[] {
    const size = (edge: CircuitEdge) => Math.abs(this.values.get(edge.id) ?? 0);
    return this.shown
      .filter((edge) => edge.from === node || edge.to === node)
      .sort((a, b) => Number(b.inCircuit) - Number(a.inCircuit) || size(b) - size(a));
  }

  /** Selects the next (or previous) of the edges at a node, round and round. */
  cycleEdge(node: string, step: 1 | -1): void {
    this.#selectFrom(this.edgesOf(node), step);
  }

  /** Selects the next (or previous) edge that the search found. */
  cycleMatch(step: 1 | -1): void {
    this.#selectFrom(this.matches, step);
  }

  #selectFrom(edges: readonly CircuitEdge[], step: 1 | -1): void {
    if (edges.length === 0) return;
    const target = this.target;
    const at = target?.kind === 'edge' ? edges.findIndex((edge) => edge.id === target.id) : -1;
    const next = at < 0 ? (step === 1 ? 0 : edges.length - 1) : (at + step + edges.length) % edges.length;
    this.select({ kind: 'edge', id: edges[next]!.id });
  }

  #passes(edge: CircuitEdge): boolean {
    const { circuitOnly, minShare } = this.view;
    if (circuitOnly && !edge.inCircuit) return false;
    if (minShare === 0) return true;
    const value = this.values.get(edge.id);
    return value !== undefined && Math.abs(value) >= minShare * this.largest;
  }

  #change(part: Partial<GraphView>, tag?: string): void {
    this.#history = change(this.#history, { ...this.#history.now, ...part }, tag);
  }
}
