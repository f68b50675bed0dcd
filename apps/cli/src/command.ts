import { helpOf } from './help.ts';
import type { Io } from './io.ts';
import { flag, type Options, parseOptions, shared, type Values } from './options/index.ts';

export interface Example {
  readonly line: string;
  readonly about: string;
}

/** What a command file exports: its options and what it does with them, once for parsing, help and checks. */
export interface Definition<O extends Options> {
  /** One line, lower case, no full stop: it stands in lists. */
  readonly summary: string;
  /** Paragraphs below the summary in the command's own help. */
  readonly details?: string;
  /** Beside these every command has `--json` and `--help`. */
  readonly options: O;
  readonly examples: readonly Example[];
  /**
   * Results go to `io.stdout`, all else to `io.stderr`. A user's mistake is a CircuitscopeError. `line` is the command
   * line as it was given, for the record of the run.
   */
  readonly run: (options: Values<O & typeof always>, io: Io, line: readonly string[]) => Promise<void>;
}

/** A command whatever its options are. */
export interface Command {
  readonly kind: 'command';
  readonly summary: string;
  readonly details?: string;
  readonly options: Options;
  readonly examples: readonly Example[];
  readonly invoke: (words: readonly string[], io: Io, name: string) => Promise<void>;
}

const always = { json: shared.json, help: flag('print this help') };

export function command<const O extends Options>(definition: Definition<O>): Command {
  const { summary, details, examples, run } = definition;
  const options = { ...definition.options, ...always };
  const self: Command = {
    kind: 'command',
    summary,
    ...(details === undefined ? {} : { details }),
    options,
    examples,
    invoke: async (words, io, name) => {
      // Help is for people who do not know the options yet, so it comes before their checks.
      if (asksForHelp(words)) io.stdout.write(helpOf(self, name));
      else await run(parseOptions(options, words, name), io, ['circuitscope', ...name.split(' '), ...words]);
    },
  };
  return self;
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).some((word) => word === '--help' || word === '-h');
}
