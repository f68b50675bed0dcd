import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { command } from './command.ts';
import { tree } from './commands/index.ts';
import { group } from './commands/tree.ts';
import { flag } from './options/index.ts';
import { Cancelled } from './process-io.ts';
import { circuitscope, type RecordedOptions, recordedIo } from './recorded-io.ts';
import { runCli } from './run-cli.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

const commands = Object.entries(tree).flatMap(([noun, entry]) =>
  entry.kind === 'command' ? [[noun]] : Object.keys(entry.verbs).map((verb) => [noun, verb]),
);

describe('help', () => {
  test('no words, --help and help say the same and succeed', async () => {
    const all = await Promise.all([[], ['--help'], ['-h'], ['help']].map((words) => circuitscope(words)));
    for (const { code, stdout, stderr } of all) expect([code, stdout, stderr]).toEqual([0, all[0]?.stdout, '']);
    expect(all[0]?.stdout).toMatchSnapshot();
  });

  test.each(commands)('%s %s: help reads as recorded, also when other options are wrong', async (...words) => {
    const name = words.filter((word) => typeof word === 'string');
    const { code, stdout } = await circuitscope(['help', ...name]);
    expect(code).toBe(0);
    expect(stdout).toMatchSnapshot();
    expect(stdout).not.toMatch(controls);
    expect((await circuitscope([...name, '--no-such-option', '--help'])).stdout).toBe(stdout);
  });

  test('a noun alone lists its verbs', async () => {
    const { code, stdout } = await circuitscope(['model']);
    expect(code).toBe(0);
    for (const verb of ['inspect', 'sites', 'run', 'generate']) expect(stdout).toMatch(new RegExp(`^  ${verb} `, 'm'));
  });

  test('every command takes --json and has examples that call it', () => {
    for (const entry of Object.values(tree)) {
      const verbs = entry.kind === 'command' ? [entry] : Object.values(entry.verbs);
      for (const { options, examples } of verbs) {
        expect(Object.keys(options)).toContain('json');
        expect(examples.length).toBeGreaterThan(0);
        for (const { line } of examples) expect(line).toMatch(/^circuitscope /);
      }
    }
  });
});

test('--version prints one line', async () => {
  expect(await circuitscope(['--version'])).toMatchObject({ code: 0, stdout: 'circuitscope 1.2.3\n', stderr: '' });
});

describe('a mistake is one line on stderr and exit code 1', () => {
  test.each([
    ['an unknown noun', ['modle'], 'There is no command "modle"; did you mean model?'],
    ['an unknown verb', ['model', 'insepct'], 'There is no command "model insepct"; did you mean model inspect?'],
    ['a name of Object.prototype', ['constructor'], 'There is no command "constructor"; there are '],
    ['an unknown noun in help', ['help', 'modle'], 'did you mean model?'],
    ['an unknown option', ['model', 'inspect', 'x', '--jsn'], 'did you mean --json?'],
    ['a missing model', ['model', 'inspect'], 'model inspect needs PATH|zoo:NAME'],
    ['a path that is not there', ['model', 'inspect', '/no/such/model'], '/no/such/model does not exist'],
    ['a zoo member that is not there', ['model', 'sites', 'zoo:nobody'], 'The zoo has no nobody'],
    ['a missing --out', ['model', 'run', '--model', 'x'], 'model run needs --out'],
    [
      'tokens that are no JSON',
      ['model', 'run', '--model', 'x', '--out', 'y', '--tokens', '1,2'],
      '--tokens must be lists of whole numbers',
    ],
    [
      'a workspace that is not there',
      ['workspace', 'list', '--workspace', '/no/such/folder'],
      'There is no workspace at /no/such/folder',
    ],
    ['a host that others can reach', ['serve', '--host', '0.0.0.0'], 'add --expose if that is meant'],
    ['control characters in a word', ['model', '\u001b[31m\nx'], 'There is no command'],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await circuitscope(words);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(controls);
  });
});

describe('how a command ends', () => {
  const ending = async (work: () => Promise<void>, options: RecordedOptions = {}) => {
    const { io, stderr } = recordedIo(options);
    const verb = command({ summary: 'a test', options: { deep: flag('deeper') }, examples: [], run: work });
    const code = await runCli({ tree: { noun: group('tests', { verb }) }, version: '0' }, ['noun', 'verb'], io);
    return { code, stderr: stderr() };
  };

  test('well: 0', async () => {
    expect(await ending(async () => {})).toEqual({ code: 0, stderr: '' });
  });

  test('by a typed error: 1 and its sentence', async () => {
    const work = async () => {
      throw new CircuitscopeError('x', 'Do this\ninstead.');
    };
    expect(await ending(work)).toEqual({ code: 1, stderr: 'circuitscope: Do this instead.\n' });
  });

  test('by a path that the system refuses: 1 and the reason', async () => {
    const work = async () => {
      throw Object.assign(new Error('EACCES'), { code: 'EACCES', path: '/a/b' });
    };
    expect(await ending(work)).toEqual({
      code: 1,
      stderr: 'circuitscope: /a/b cannot be read or written: permission is denied.\n',
    });
  });

  test('by a bug: 2 and its stack', async () => {
    const { code, stderr } = await ending(async () => {
      throw new TypeError('undefined is not a function');
    });
    expect(code).toBe(2);
    expect(stderr).toContain('undefined is not a function');
    expect(stderr).toContain('run-cli.test.ts');
  });

  test('by Ctrl-C: 130 and one line, whatever the cancelled work threw', async () => {
    const controller = new AbortController();
    controller.abort(new Cancelled());
    const work = async () => {
      throw new Error('half way');
    };
    expect(await ending(work, { signal: controller.signal })).toEqual({
      code: 130,
      stderr: 'circuitscope: cancelled\n',
    });
  });
});
