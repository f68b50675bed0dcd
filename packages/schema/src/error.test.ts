import { expect, test } from 'vitest';
import { CircuitscopeError } from './error.ts';

test('an error carries its code and only the details that it was given', () => {
  const cause = new Error('disk');
  const error = new CircuitscopeError('bad_file', 'Give another file.', { at: 'config.json', cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'CircuitscopeError',
    code: 'bad_file',
    at: 'config.json',
    message: 'Give another file.',
  });
  expect(error.cause).toBe(cause);
  expect('expected' in error).toBe(false);
  expect('cause' in new CircuitscopeError('x', 'y')).toBe(false);
});
