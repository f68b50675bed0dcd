import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** `0-3,8` as numbers. */
export function processorsOf(list: string): readonly number[] {
  return list.split(',').flatMap((part) => {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (!range) return [];
    const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])];
    return last < first || last > 4095 ? [] : Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
}

/** The last of them, since interrupts prefer the first; all where there are no more than threads. */
export function processorsFor(threads: number, allowed: readonly number[]): readonly number[] {
  return allowed.slice(Math.max(0, allowed.length - threads));
}

function allowedHere(): readonly number[] {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return processorsOf(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '');
  } catch {
    return [];
  }
}

export interface Pinning extends Disposable {
  /** Ties every thread of this process, and so what it starts from now on, to so many processors, and names them. */
  readonly pin: (threads: number) => Promise<string | undefined>;
}

/** By `taskset`, where the system has it; elsewhere nothing is tied and nothing is said. Disposing unties. */
export function pinning(): Pinning {
  const allowed = allowedHere();
  const tie = (processors: readonly number[]): string | undefined => {
    if (processors.length === 0) return undefined;
    const list = processors.join(',');
    const ended = spawnSync('taskset', ['-a', '-p', '-c', list, String(process.pid)], { stdio: 'ignore' });
    return ended.status === 0 ? list : undefined;
  };
  let tied = false;
  return {
    async pin(threads) {
      const list = tie(processorsFor(threads, allowed));
      tied ||= list !== undefined;
      return list;
    },
    [Symbol.dispose]() {
      if (tied) tie(allowed);
    },
  };
}
