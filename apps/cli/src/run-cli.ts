import { CircuitscopeError } from '@circuitscope/schema';
import type { Tree } from './commands/tree.ts';
import { helpOf, helpOfGroup, helpOfTree } from './help.ts';
import type { Io } from './io.ts';
import { nearest } from './options/nearest.ts';
import { reportError } from './output/report-error.ts';

export interface Program {
  readonly tree: Tree;
  readonly version: string;
}

/** Runs one command line. Never throws: what goes wrong is reported and becomes the exit code. */
export async function runCli(program: Program, words: readonly string[], io: Io): Promise<number> {
  try {
    await dispatch(program, words, io);
    return 0;
  } catch (error) {
    return reportError(error, io);
  }
}

async function dispatch({ tree, version }: Program, words: readonly string[], io: Io): Promise<void> {
  const [first, ...rest] = words;
  if (first === undefined || first === '--help' || first === '-h') return io.stdout.write(helpOfTree(tree));
  if (first === '--version' || first === '-V') return io.stdout.write(`circuitscope ${version}\n`);
  if (first === 'help') return io.stdout.write(helpFor(tree, rest));
  const entry = at(tree, first, '');
  if (entry.kind === 'command') return entry.invoke(rest, io, first);
  const [verb, ...more] = rest;
  if (verb === undefined || verb === '--help' || verb === '-h') return io.stdout.write(helpOfGroup(entry, first));
  return at(entry.verbs, verb, first).invoke(more, io, `${first} ${verb}`);
}

function helpFor(tree: Tree, words: readonly string[]): string {
  const [noun, verb] = words;
  if (noun === undefined) return helpOfTree(tree);
  const entry = at(tree, noun, '');
  if (entry.kind === 'command') return helpOf(entry, noun);
  return verb === undefined ? helpOfGroup(entry, noun) : helpOf(at(entry.verbs, verb, noun), `${noun} ${verb}`);
}

function at<T>(entries: { readonly [word: string]: T }, word: string, noun: string): T {
  const found = Object.hasOwn(entries, word) ? entries[word] : undefined;
  if (found !== undefined) return found;
  const words = Object.keys(entries);
  const near = nearest(word, words);
  const whole = noun === '' ? word : `${noun} ${word}`;
  const hint = near ? `did you mean ${noun === '' ? near : `${noun} ${near}`}?` : `there are ${words.join(', ')}.`;
  throw new CircuitscopeError('unknown_command', `There is no command ${JSON.stringify(whole.slice(0, 80))}; ${hint}`, {
    expected: words.join(', '),
    got: whole.slice(0, 80),
  });
}
