// <attention-pattern>: attention on one example for any page. Data: property `pattern`, attribute `data-pattern`, or a
// child script of JSON, as `{"title"?, "tokens": [...], "heads": [{"label", "values": [[...]]}]}`. Events:
// `pattern-head`, `pattern-select`.

import { mount } from 'svelte';
import AttentionPattern from '../attention-pattern/AttentionPattern.svelte';
import type { PatternCell } from '../attention-pattern/state.svelte.ts';
import { type PatternRecord, readPatternRecord } from './pattern-record.ts';
import { type Reading, ViewElement } from './view-element.ts';

export class AttentionPatternElement extends ViewElement {
  protected readonly dataName = 'pattern';
  protected readonly properties = ['pattern', 'selectedHead'];
  #pattern: PatternRecord | undefined = $state.raw();
  #selectedHead: number | undefined = $state.raw();

  get pattern(): PatternRecord | undefined {
    return this.#pattern;
  }

  set pattern(value: unknown) {
    this.setData(value);
  }

  get selectedHead(): number | undefined {
    return this.#selectedHead;
  }

  set selectedHead(head: number | undefined) {
    this.#selectedHead = head;
  }

  protected read(value: unknown): Reading {
    const read = readPatternRecord(value);
    if (!read.ok) return read;
    this.#pattern = read.value;
    return { ok: true };
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(AttentionPattern, {
      target,
      props: {
        get tokens() {
          return element.#pattern!.tokens;
        },
        get heads() {
          return element.#pattern!.heads;
        },
        get title() {
          return element.#pattern!.title;
        },
        get selectedHead() {
          return element.#selectedHead;
        },
        onhead: (head: number) => {
          this.tell('pattern-head', head);
        },
        onselect: (cell: PatternCell | null) => {
          this.tell('pattern-select', cell);
        },
      },
    });
  }
}
