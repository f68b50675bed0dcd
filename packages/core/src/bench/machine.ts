import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { BenchLoad, BenchMachine } from '@circuitscope/schema';
import type { NativeInfo } from '../kernels/index.ts';

type Facts = Omit<BenchMachine, 'peaks' | 'bandwidths' | 'clockHz'>;

const SYSTEM = '/sys/devices/system/cpu';

/** The text of a small file of the system, or undefined where there is none. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** `key : value` of the first processor. */
function processor(): ReadonlyMap<string, string> {
  const block = (read('/proc/cpuinfo') ?? '').split('\n\n')[0] ?? '';
  const pairs = block.split('\n').map((line) => line.split(':').map((part) => part.trim()));
  return new Map(pairs.filter(([key]) => key).map(([key = '', value = '']) => [key, value]));
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function caches(): Facts['caches'] {
  const folder = join(SYSTEM, 'cpu0/cache');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith('index'))
    .sort()
    .flatMap((name) => {
      const level = whole(read(join(folder, name, 'level')));
      const size = /^(\d+)([KM])$/.exec(read(join(folder, name, 'size')) ?? '');
      if (level === undefined || !size) return [];
      const sharedBy = read(join(folder, name, 'shared_cpu_list'));
      return [
        {
          level,
          kind: (read(join(folder, name, 'type')) ?? 'unknown').toLowerCase(),
          bytes: Number(size[1]) * (size[2] === 'M' ? 1 << 20 : 1 << 10),
          ...(sharedBy ? { sharedBy } : {}),
        },
      ];
    });
}

/** Of the variants that the system lists, the one in brackets. */
const chosen = (text: string | undefined): string | undefined => /\[(\w+)\]/.exec(text ?? '')?.[1];

const STEERS =
  /^(OPENBLAS|MKL|OMP|KMP|GOMP|GOTO|BLIS|BLAS|VECLIB|NUMEXPR|ONEDNN|DNNL|TORCH|ORT|RAYON|MATMUL|CIRCUITSCOPE_(ISA|THREADS|EXECUTOR))(_|$)/;

/** Variables that steer a linear algebra library or its threads. */
export function steeringVariables(env: { readonly [name: string]: string | undefined }): { [name: string]: string } {
  const found = Object.entries(env).filter(([name]) => STEERS.test(name));
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, String(value)]));
}

function libc(): string | undefined {
  const report: unknown = process.report?.getReport?.();
  const header: unknown = typeof report === 'object' && report !== null ? Reflect.get(report, 'header') : undefined;
  const version: unknown =
    typeof header === 'object' && header !== null ? Reflect.get(header, 'glibcVersionRuntime') : undefined;
  return typeof version === 'string' ? `glibc ${version}` : undefined;
}

function runtime(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `bun ${bun}` : deno ? `deno ${deno}` : `node ${node}`;
}

/** What the system tells of itself. On other systems than Linux much of it is left out. */
export function machineFacts(info: NativeInfo, env: { readonly [name: string]: string | undefined }): Facts {
  const found = processor();
  const online = cpus().length;
  const status = read('/proc/self/status') ?? '';
  const facts = {
    cpu: {
      model: found.get('model name') ?? cpus()[0]?.model ?? info.cpu,
      flags: (found.get('flags') ?? found.get('Features') ?? '').split(/\s+/).filter(Boolean).slice(0, 1024),
      ...given('vendor', found.get('vendor_id')),
      ...given('family', whole(found.get('cpu family'))),
      ...given('modelNumber', whole(found.get('model'))),
      ...given('stepping', whole(found.get('stepping'))),
    },
    isa: info.isa,
    isas: [...info.isas],
    caches: caches(),
    onlineCpus: online,
    ...given('affinity', /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1]),
    ...given(
      'hypervisor',
      read('/sys/hypervisor/type') ??
        read('/sys/class/dmi/id/sys_vendor') ??
        (/\bhypervisor\b/.test(found.get('flags') ?? '') ? 'yes' : undefined),
    ),
    ...given('governor', read(join(SYSTEM, 'cpu0/cpufreq/scaling_governor'))),
    ...given('hugePages', chosen(read('/sys/kernel/mm/transparent_hugepage/enabled'))),
    platform: `${process.platform}-${process.arch}`,
  };
  const digest = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  return {
    fingerprint: digest,
    ...facts,
    memoryBytes: totalmem(),
    kernel: release(),
    ...given('libc', libc()),
    runtime: runtime(),
    environment: steeringVariables(env),
  };
}

function given<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  const entry: { [key in K]?: V } = {};
  if (value !== undefined && value !== '') entry[key] = value;
  return entry;
}

/** Time stolen by the hypervisor since the start, over all processors; undefined where the system does not tell. */
export function stolenSeconds(): number | undefined {
  const fields = (read('/proc/stat') ?? '').split('\n')[0]?.trim().split(/\s+/) ?? [];
  const ticks = whole(fields[8]);
  // A tick is a hundredth of a second in every Linux that shows these counts to programs.
  return ticks === undefined ? undefined : ticks / 100;
}

export function currentLoad(clockHz: number | undefined, foreign?: BenchLoad['foreign']): BenchLoad {
  const average = Number.parseFloat(read('/proc/loadavg') ?? '');
  return {
    ...given('loadAverage', Number.isFinite(average) ? average : undefined),
    ...given('stealSeconds', stolenSeconds()),
    ...given('clockHz', clockHz),
    ...given('foreign', foreign),
  };
}

/** Bytes of the last cache, doubled and at least 64 MiB: walking over so many leaves nothing of before. */
export function coldBytes(machine: Pick<Facts, 'caches'>): number {
  return Math.max(64 << 20, 2 * Math.max(0, ...machine.caches.map(({ bytes }) => bytes)));
}
