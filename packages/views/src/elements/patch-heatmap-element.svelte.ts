// <patch-heatmap>: which places carry a difference. Event: `patch-select`.

import { type Patching, parsePatching } from '@circuitscope/schema';
import { mount } from 'svelte';
import PatchHeatmap from '../patch-heatmap/PatchHeatmap.svelte';
import { RecordElement } from './record-element.svelte.ts';

export class PatchHeatmapElement extends RecordElement<Patching> {
  protected readonly what = 'a patching record';

  protected parse(value: unknown) {
    return parsePatching(value);
  }

  protected show(target: HTMLElement): Record<string, unknown> {
    const element = this;
    return mount(PatchHeatmap, {
      target,
      props: {
        get patching() {
          return element.shown;
        },
        onselect: (detail: unknown) => {
          this.tell('patch-select', detail);
        },
      },
    });
  }
}
