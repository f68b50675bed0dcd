import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export interface TestReport {
  readonly passed: number;
  readonly failed: readonly { readonly name: string; readonly output: string }[];
  readonly skipped: readonly { readonly name: string; readonly reason: string | undefined }[];
}

interface Failure {
  readonly message?: string;
  readonly stack?: string | undefined;
  readonly diff?: string | undefined;
}

const describeFailure = ({ message = '', stack, diff }: Failure): string => {
  const frames = (stack ?? '').split('\n').filter((line) => /^\s+at |^\s*[ -]? ?❯/.test(line));
  const own = frames.filter((line) => !line.includes('node_modules')).slice(0, 4);
  return [message, diff, ...own].filter(Boolean).join('\n');
};

/** The reason stands in `ctx.skip('reason')`, or in the name of the test or its group as `(skipped: reason)`. */
const reasonOf = (test: TestCase): string | undefined => {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return note ?? /\(skipped: (.+?)\)(?: >|$)/.exec(test.fullName)?.[1];
};

/**
 * Writes one JSON report per run to `$CIRCUITSCOPE_TEST_REPORT`. Vitest's own JSON reporter drops the reason of a skip,
 * and a file that cannot be loaded is no test there.
 */
export default class CountingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly Failure[]): void {
    const failed: { name: string; output: string }[] = [];
    const skipped: { name: string; reason: string | undefined }[] = [];
    let passed = 0;
    for (const module of modules) {
      for (const error of module.errors()) failed.push({ name: module.moduleId, output: describeFailure(error) });
      for (const suite of module.children.allSuites()) {
        for (const error of suite.errors()) failed.push({ name: suite.fullName, output: describeFailure(error) });
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        const name = `${module.relativeModuleId} > ${test.fullName}`;
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed') {
          failed.push({ name, output: result.errors.map(describeFailure).join('\n') });
        } else if (result.state === 'skipped') skipped.push({ name, reason: reasonOf(test) });
        else failed.push({ name, output: 'the test did not end' });
      }
    }
    for (const error of unhandled) failed.push({ name: 'an error outside any test', output: describeFailure(error) });
    const report: TestReport = { passed, failed, skipped };
    const file = process.env.CIRCUITSCOPE_TEST_REPORT;
    if (file) writeFileSync(file, JSON.stringify(report));
  }
}
