import { mount } from 'svelte';
import BenchTable from '../bench-table/BenchTable.svelte';
import { BenchElement } from './bench-element.svelte.ts';

export class BenchTableElement extends BenchElement {
  protected show(target: HTMLElement): Record<string, unknown> {
    return mount(BenchTable, { target, props: this.liveProps() });
  }
}
