import { expect, test } from 'vitest';
import { referenceExecutor } from '../plan/index.ts';
import { numericsVersion } from './versions.ts';

test('the reference never answers for the native kernels, nor one precision for the other', () => {
  const native = { kind: 'native', threads: 2, cpu: 'any' } as const;
  const versions = [
    numericsVersion({ ...native, path: 'avx2' }),
    numericsVersion(referenceExecutor().info),
    numericsVersion(referenceExecutor({ precision: 'f64' }).info),
  ];
  expect(new Set(versions).size).toBe(3);
});

test('native results have one version on every instruction set and thread count', () => {
  const cpu = 'any';
  expect(numericsVersion({ kind: 'native', path: 'avx512', threads: 1, cpu })).toBe(
    numericsVersion({ kind: 'native', path: 'portable', threads: 7, cpu }),
  );
});
