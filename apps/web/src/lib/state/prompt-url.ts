// What the address of a prompt page says: the text, what is explained, the head that is looked at, how the text goes on.
// Sharing the address shares the view.

import type { GenerationRequest } from '../live/generation.ts';

export interface PromptView {
  readonly text: string;
  readonly answer: string;
  readonly wrong: string;
  readonly layer: number;
  readonly head: number;
  readonly generation: Omit<GenerationRequest, 'text'>;
}

export const START: PromptView = {
  text: '',
  answer: '',
  wrong: '',
  layer: 0,
  head: 0,
  generation: { steps: 48, temperature: 0, topK: 0, topP: 1, seed: 0, count: 1, ablate: '' },
};

const NUMBERS = {
  steps: { min: 1, max: 1024, whole: true },
  temperature: { min: 0, max: 10, whole: false },
  topK: { min: 0, max: 1 << 20, whole: true },
  topP: { min: 0.01, max: 1, whole: false },
  seed: { min: 0, max: 2 ** 31, whole: true },
  count: { min: 1, max: 16, whole: true },
} as const;
type NumberName = keyof typeof NUMBERS;
const numberNames: readonly NumberName[] = ['steps', 'temperature', 'topK', 'topP', 'seed', 'count'];

const MOST_TEXT = 8_000;

/** Whatever an address holds that is not understood is left out: it may come from anywhere. */
export function readPromptView(params: URLSearchParams): PromptView {
  const text = (name: string, most: number) => (params.get(name) ?? '').slice(0, most);
  const head = /^(\d{1,4})\.(\d{1,4})$/.exec(params.get('head') ?? '');
  const numbers = Object.fromEntries(numberNames.map((name) => [name, readNumber(name, params.get(name))]));
  return {
    text: text('text', MOST_TEXT),
    answer: text('answer', 200),
    wrong: text('wrong', 200),
    layer: head ? Number(head[1]) : START.layer,
    head: head ? Number(head[2]) : START.head,
    generation: { ...START.generation, ...numbers, ablate: text('ablate', 400) },
  };
}

/** A number inside its bounds, else what a page starts with. */
export function readNumber(name: NumberName, text: string | null): number {
  const { min, max, whole } = NUMBERS[name];
  const value = text === null || text.trim() === '' ? Number.NaN : Number(text);
  const fits = value >= min && value <= max && (!whole || Number.isInteger(value));
  return fits ? value : START.generation[name];
}

/** The query string, empty for the view that a page starts with. */
export function writePromptView(view: PromptView): string {
  const params = new URLSearchParams();
  if (view.text !== '') params.set('text', view.text);
  if (view.answer !== '') params.set('answer', view.answer);
  if (view.wrong !== '') params.set('wrong', view.wrong);
  if (view.layer !== START.layer || view.head !== START.head) params.set('head', `${view.layer}.${view.head}`);
  for (const name of numberNames)
    if (view.generation[name] !== START.generation[name]) params.set(name, String(view.generation[name]));
  if (view.generation.ablate !== '') params.set('ablate', view.generation.ablate);
  const query = params.toString();
  return query === '' ? '' : `?${query}`;
}
