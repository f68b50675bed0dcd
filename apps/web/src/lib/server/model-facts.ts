import { openKnownDecoder } from './open-models.ts';
import { spell } from './read-text.ts';

/** What the pages of a decoder need before anybody has written anything. */
export async function promptFacts(name: string) {
  const open = await openKnownDecoder(name);
  const { tokenizer, member, model } = open;
  const task = member?.task({ seed: 0, examples: 2 });
  const example = task?.examples[0];
  const write = (ids: readonly number[]) =>
    ids
      .filter((id) => id !== tokenizer?.bosId)
      .map((id) => spell(open, id))
      .join(' ');
  const reads = !tokenizer
    ? `It comes without a tokenizer: a text is token ids, 0 to ${model.spec.vocab - 1}.`
    : tokenizer.kind === 'words'
      ? 'Its texts are words with spaces between them; #ID names any token as an answer.'
      : 'A token for an answer may need the space in front of it; #ID names any token.';
  return {
    name: open.known.name,
    source: open.known.source,
    reads,
    example: example ? write(example.clean) : tokenizer ? 'Once upon a time, there was a little girl' : '0 1 2',
    patching: example
      ? {
          clean: write(example.clean),
          corrupt: write(example.corrupt),
          answer: spell(open, example.answer),
          wrong: spell(open, example.wrongAnswer),
        }
      : null,
  };
}
