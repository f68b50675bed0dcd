// <circuit-graph>: the circuit graph for any page. Data: property `circuit`, attribute `data-circuit`, or a child script
// of JSON. Events: `circuit-select`, `circuit-ablate` (offered where the attribute `ablatable` stands), `circuit-export`.

import { type Circuit, parseCircuit } from '@circuitscope/schema';
import { mount } from 'svelte';
import CircuitGraph from '../circuit-graph/CircuitGraph.svelte';
import type { CircuitTarget, LiveEffect } from '../circuit-graph/target.ts';
import { saveJson } from './save-json.ts';
import { type Reading, ViewElement } from './view-element.ts';

export class CircuitGraphElement extends ViewElement {
  protected readonly dataName = 'circuit';
  protected readonly properties = ['circuit', 'selected', 'weightKind', 'effects'];
  #circuit: Circuit | undefined = $state.raw();
  #selected: CircuitTarget | null | undefined = $state.raw();
  #weightKind: string | undefined = $state.raw();
  #effects: readonly LiveEffect[] = $state.raw([]);

  get circuit(): Circuit | undefined {
    return this.#circuit;
  }

  set circuit(value: unknown) {
    this.setData(value);
  }

  get selected(): CircuitTarget | null | undefined {
    return this.#selected;
  }

  set selected(target: CircuitTarget | null | undefined) {
    this.#selected = target;
  }

  /** A kind of weight, as `patch_effect`; the attribute `weight-kind` says the same. */
  get weightKind(): string | undefined {
    return this.#weightKind ?? this.getAttribute('weight-kind') ?? undefined;
  }

  set weightKind(kind: string | undefined) {
    this.#weightKind = kind;
  }

  get effects(): readonly LiveEffect[] {
    return this.#effects;
  }

  set effects(effects: readonly LiveEffect[]) {
    this.#effects = effects;
  }

  protected read(value: unknown): Reading {
    const parsed = parseCircuit(value);
    if (!parsed.ok) {
      const [first] = parsed.issues;
      const at = first && first.path !== '' ? `, at ${first.path}` : '';
      return { ok: false, problem: `This is not a circuit record${at}: ${first?.message ?? 'it cannot be read'}.` };
    }
    this.#circuit = parsed.value;
    return { ok: true };
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(CircuitGraph, {
      target,
      // Getters keep the props live: setting a property of the element redraws without a new component.
      props: {
        get circuit() {
          return element.#circuit!;
        },
        get selected() {
          return element.#selected;
        },
        get weightKind() {
          return element.weightKind;
        },
        get effects() {
          return element.#effects;
        },
        onselect: (selected: CircuitTarget | null) => {
          this.tell('circuit-select', selected);
        },
        ...(this.hasAttribute('ablatable')
          ? {
              onablate: (wanted: CircuitTarget) => {
                this.tell('circuit-ablate', wanted);
              },
            }
          : {}),
        onexport: (data) => {
          if (this.tell('circuit-export', data)) saveJson(data, `${data.name}.json`);
        },
      },
    });
  }
}
