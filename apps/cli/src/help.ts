import type { Command } from './command.ts';
import type { Group, Tree } from './commands/tree.ts';
import { type Option, writtenAs } from './options/index.ts';

const WIDTH = 100;

/** The help of one command. @param name how it is called: `model run` */
export function helpOf(command: Command, name: string): string {
  const entries = Object.entries(command.options);
  const argumentsOf = entries.filter(([, option]) => option.positional);
  const optionsOf = entries.filter(([, option]) => !option.positional);
  const usage = [
    `circuitscope ${name}`,
    ...argumentsOf.map(([key, option]) => bracketed(writtenAs(key, option), option.required)),
    ...optionsOf.filter(([, option]) => option.required).map(([key, option]) => spelled(key, option)),
    '[options]',
  ].join(' ');
  const parts = [
    `circuitscope ${name}: ${command.summary}`,
    `Usage: ${usage}`,
    ...(command.details === undefined ? [] : command.details.split('\n\n').map((paragraph) => wrapped(paragraph, 0))),
    ...(argumentsOf.length === 0 ? [] : [section('Arguments', argumentsOf)]),
    section('Options', optionsOf),
    ...(command.examples.length === 0
      ? []
      : [`Examples:\n${command.examples.map(({ line, about }) => `  ${line}\n      ${about}`).join('\n')}`]),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** The nouns and what each is about. */
export function helpOfTree(tree: Tree): string {
  const rows = Object.entries(tree).map(([noun, entry]): [string, string] =>
    entry.kind === 'command' ? [noun, entry.summary] : [`${noun} ${Object.keys(entry.verbs).join('|')}`, entry.summary],
  );
  return [
    'Circuitscope: reverse-engineer neural networks on an ordinary machine.',
    'Usage: circuitscope <noun> <verb> [options]',
    `Commands:\n${aligned(rows)}`,
    'circuitscope help <noun> <verb>, or --help behind any command, shows its options with examples.\nEvery command takes --json; circuitscope --version prints the version.\n',
  ].join('\n\n');
}

/** The verbs of one noun. */
export function helpOfGroup(group: Group, noun: string): string {
  const rows = Object.entries(group.verbs).map(([verb, { summary }]): [string, string] => [verb, summary]);
  return `circuitscope ${noun}: ${group.summary}\n\nUsage: circuitscope ${noun} <verb> [options]\n\nVerbs:\n${aligned(rows)}\n`;
}

function section(title: string, entries: readonly (readonly [string, Option])[]): string {
  const rows = entries.map(([key, option]): [string, string] => {
    const more = option.required
      ? ' (required)'
      : option.shownDefault === undefined
        ? ''
        : ` (default: ${option.shownDefault})`;
    return [option.positional ? writtenAs(key, option) : spelled(key, option), `${option.about}${more}`];
  });
  return `${title}:\n${aligned(rows)}`;
}

const spelled = (key: string, option: Option) =>
  `${writtenAs(key, option)}${option.value === null ? '' : ` ${option.value}`}`;
const bracketed = (word: string, required: boolean) => (required ? word : `[${word}]`);

/** Two columns, the second wrapped below itself. */
function aligned(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(34, Math.max(...rows.map(([head]) => head.length)));
  return rows
    .map(([head, about]) => {
      const body = wrapped(about, left + 4);
      // A head that is too long for its column gets a line of its own.
      return head.length > left ? `  ${head}\n${' '.repeat(left + 4)}${body}` : `  ${head.padEnd(left)}  ${body}`;
    })
    .join('\n');
}

/** Text in lines of at most WIDTH; those after the first are indented. */
function wrapped(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - indent) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}
