// <token-strip>: a prompt as its tokens. Event: `token-select`.

import { parseRecord, TokenStrip } from '@circuitscope/schema';
import { mount } from 'svelte';
import TokenStripView from '../token-strip/TokenStrip.svelte';
import { RecordElement } from './record-element.svelte.ts';

export class TokenStripElement extends RecordElement<TokenStrip> {
  protected readonly what = 'a token strip';

  protected parse(value: unknown) {
    return parseRecord(TokenStrip, value, this.what);
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(TokenStripView, {
      target,
      props: {
        get strip() {
          return element.shown;
        },
        onselect: (detail: unknown) => {
          this.tell('token-select', detail);
        },
      },
    });
  }
}
