import { tick } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import { patching } from '../fixtures/patching.ts';
import './attribution-bars.ts';
import './logit-lens.ts';
import './model-blocks.ts';
import './patch-heatmap.ts';
import './token-strip.ts';

afterEach(() => document.body.replaceChildren());

const cell = { top: [{ id: 0, text: 'x', logProb: 0 }], entropy: 0, klToFinal: 0 };
const records: { readonly [tag: string]: unknown } = {
  'token-strip': { kind: 'token_strip', tokens: [{ id: 0, text: 'a' }] },
  'logit-lens': { kind: 'logit_lens', streams: ['0_pre'], tokens: ['a'], cells: [cell] },
  'attribution-bars': { kind: 'logit_attribution', answer: { id: 0, text: 'a' }, parts: [], logit: 0, sum: 0 },
  'patch-heatmap': patching,
  'model-blocks': { kind: 'model_blocks', name: 'm', width: 1, vocab: 1, positions: 'none', blocks: [], tied: false },
};

test.each(Object.keys(records))('<%s> stands on its record, and says what is none', async (tag) => {
  const element = document.createElement(tag);
  document.body.append(element);
  Reflect.set(element, 'record', records[tag]);
  await tick();
  expect(element.shadowRoot?.querySelector('figure')).not.toBeNull();
  Reflect.set(element, 'record', { kind: 'something' });
  expect(element.shadowRoot?.querySelector('figure')).toBeNull();
  expect(element.shadowRoot?.querySelector('[role="alert"]')?.textContent).toMatch(/^This is not an? /);
});

test('events of a record element leave the shadow root', async () => {
  const element = document.createElement('token-strip');
  element.setAttribute('data-record', JSON.stringify(records['token-strip']));
  document.body.append(element);
  await tick();
  const heard: unknown[] = [];
  document.addEventListener('token-select', (event) => heard.push(event instanceof CustomEvent && event.detail), {
    once: true,
  });
  element.shadowRoot?.querySelector('button')?.click();
  expect(heard).toEqual([0]);
});
