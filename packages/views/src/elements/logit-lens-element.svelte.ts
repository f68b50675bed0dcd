// <logit-lens>: what each stream would say, by position. Event: `lens-select`.

import { LogitLensView, parseRecord } from '@circuitscope/schema';
import { mount } from 'svelte';
import LogitLens from '../logit-lens/LogitLens.svelte';
import { RecordElement } from './record-element.svelte.ts';

export class LogitLensElement extends RecordElement<LogitLensView> {
  protected readonly what = 'a logit lens';

  protected parse(value: unknown) {
    return parseRecord(LogitLensView, value, this.what);
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(LogitLens, {
      target,
      props: {
        get lens() {
          return element.shown;
        },
        onselect: (detail: unknown) => {
          this.tell('lens-select', detail);
        },
      },
    });
  }
}
