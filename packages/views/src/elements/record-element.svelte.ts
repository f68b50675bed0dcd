// A custom element whose data is one record of the schema: property `record`, attribute `data-record`, or a child script of
// JSON.

import type { Parsed } from '@circuitscope/schema';
import { type Reading, ViewElement } from './view-element.ts';

export abstract class RecordElement<T> extends ViewElement {
  protected readonly dataName = 'record';
  protected readonly properties = ['record'];
  #record: T | undefined = $state.raw();

  /** "a token strip": for the sentence about what is none. */
  protected abstract readonly what: string;
  protected abstract parse(value: unknown): Parsed<T>;

  get record(): T | undefined {
    return this.#record;
  }

  set record(value: unknown) {
    this.setData(value);
  }

  protected read(value: unknown): Reading {
    const parsed = this.parse(value);
    if (parsed.ok) {
      this.#record = parsed.value;
      return { ok: true };
    }
    const { path = '', message = 'nothing in it could be read' } = parsed.issues[0] ?? {};
    return { ok: false, problem: `This is not ${this.what}${path === '' ? '' : `, at ${path}`}: ${message}.` };
  }

  /** The record, where the view stands on one. */
  protected get shown(): T {
    if (this.#record === undefined) throw new Error('there is no record to show');
    return this.#record;
  }
}
