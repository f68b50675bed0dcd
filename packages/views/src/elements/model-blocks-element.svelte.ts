// <model-blocks>: what a transformer is made of. Event: `blocks-select`.

import { ModelBlocks, parseRecord } from '@circuitscope/schema';
import { mount } from 'svelte';
import ModelBlocksView from '../model-blocks/ModelBlocks.svelte';
import { RecordElement } from './record-element.svelte.ts';

export class ModelBlocksElement extends RecordElement<ModelBlocks> {
  protected readonly what = 'a drawing of model blocks';

  protected parse(value: unknown) {
    return parseRecord(ModelBlocks, value, this.what);
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(ModelBlocksView, {
      target,
      props: {
        get model() {
          return element.shown;
        },
        onselect: (detail: unknown) => {
          this.tell('blocks-select', detail);
        },
      },
    });
  }
}
