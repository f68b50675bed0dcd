// <attribution-bars>: what each part adds to an answer. Event: `attribution-select`.

import { LogitAttributionView, parseRecord } from '@circuitscope/schema';
import { mount } from 'svelte';
import AttributionBars from '../attribution-bars/AttributionBars.svelte';
import { RecordElement } from './record-element.svelte.ts';

export class AttributionBarsElement extends RecordElement<LogitAttributionView> {
  protected readonly what = 'a logit attribution';

  protected parse(value: unknown) {
    return parseRecord(LogitAttributionView, value, this.what);
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(AttributionBars, {
      target,
      props: {
        get attribution() {
          return element.shown;
        },
        onselect: (detail: unknown) => {
          this.tell('attribution-select', detail);
        },
      },
    });
  }
}
