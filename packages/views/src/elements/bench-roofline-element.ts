import { mount } from 'svelte';
import BenchRoofline from '../bench-roofline/BenchRoofline.svelte';
import { BenchElement } from './bench-element.svelte.ts';

export class BenchRooflineElement extends BenchElement {
  protected show(target: HTMLElement): Record<string, unknown> {
    return mount(BenchRoofline, { target, props: this.liveProps() });
  }
}
