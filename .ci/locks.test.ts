import { expect, test } from 'vitest';
import { withoutHosts, wrongsOfLocks } from './locks.ts';
import { repositoryRoot } from './rules.ts';

test('a tarball address goes from the lock, and the integrity stays', () => {
  const entry = (url: string) => `"zod": ["zod@4.6.7", ${url}, {}, "sha512-abc=="],`;
  expect(withoutHosts(entry('"http://mirror.example:4873/zod/-/zod-4.6.7.tgz"'))).toBe(entry('""'));
  expect(withoutHosts(entry('""'))).toBe(entry('""'));
});

test('the lock files name no host and lack no platform', () => {
  expect(wrongsOfLocks(repositoryRoot)).toEqual([]);
});
