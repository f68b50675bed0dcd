import { expect, test } from 'vitest';
import { blocks } from '../live/read-events.ts';
import { patchCommand, readPatchView, writePatchView } from './patch-url.ts';
import { readPromptView, START, writePromptView } from './prompt-url.ts';

const question = {
  clean: "it's",
  corrupt: 'b c',
  answer: ' x',
  wrong: '#3',
  grid: 'head',
  direction: 'noise',
  metric: 'kl',
} as const;

test('a prompt page comes back from its address, and the one it starts with has none', () => {
  const view = {
    ...START,
    text: 'a&b=\n\u202e<img>',
    answer: ' x',
    layer: 3,
    head: 1,
    generation: { ...START.generation, temperature: 0.8, topP: 0.9, count: 2, ablate: '0.1' },
  };
  expect(readPromptView(new URLSearchParams(writePromptView(view)))).toEqual(view);
  expect(writePromptView(START)).toBe('');
});

test('what an address holds beyond its bounds is left out', () => {
  const read = readPromptView(new URLSearchParams('steps=1e9&temperature=-1&seed=x&count=2.5&head=9&topP=NaN'));
  expect(read).toEqual(START);
});

test('a patching page comes back from its address', () => {
  const view = { ...question, place: 2, run: true };
  expect(readPatchView(new URLSearchParams(writePatchView(view)), { ...question, clean: '' })).toEqual(view);
});

test('the command is quoted for a shell', () => {
  expect(patchCommand('/a b/m.bin', question)).toBe(
    "circuitscope model patch --model '/a b/m.bin' --clean 'it'\\''s' --corrupt 'b c' --answer ' x' --wrong '#3' --grid head --direction noise --metric kl",
  );
});

test('events that arrive in pieces are put together', async () => {
  const stream = new ReadableStream<string>({
    start(controller) {
      for (const piece of [': open\n', '\ndata: 1\n\nda', 'ta: 2\n\n', 'data: cut']) controller.enqueue(piece);
      controller.close();
    },
  });
  const found: string[] = [];
  for await (const block of blocks(stream)) found.push(block);
  expect(found).toEqual([': open', 'data: 1', 'data: 2']);
});
