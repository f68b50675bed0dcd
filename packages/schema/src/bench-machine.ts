import { z } from 'zod';
import { finite, index, list, maybe, name, record, table, text } from './shape.ts';

const rate = finite.positive();

/** Of a vector unit: the loop of fused multiply-adds in registers, best of its samples. */
export const BenchPeak = record({
  isa: name,
  threads: index,
  /** Operations a second; a fused multiply-add counts two for each lane. */
  flops: rate,
  medianFlops: rate,
});
export type BenchPeak = z.infer<typeof BenchPeak>;

/** Bytes a second through arrays of `bytes` together, best of its samples; a triad counts 12 bytes an element. */
export const BenchBandwidth = record({
  kind: z.enum(['read', 'triad']),
  bytes: index,
  threads: index,
  bytesPerSecond: rate,
  medianBytesPerSecond: rate,
});
export type BenchBandwidth = z.infer<typeof BenchBandwidth>;

/** What others did on the machine at one moment. */
export const BenchLoad = record({
  /** Of the last minute; left out where the system does not tell. */
  loadAverage: maybe(finite.nonnegative()),
  /** Time that the hypervisor gave to others since the machine started. */
  stealSeconds: maybe(finite.nonnegative()),
  clockHz: maybe(rate),
  /** Other programs that computed meanwhile, by name alone: processors each took on average, the busiest first. */
  foreign: maybe(list(record({ name, processors: finite.nonnegative() }), 64)),
});
export type BenchLoad = z.infer<typeof BenchLoad>;

/** Where a benchmark ran. What a system does not tell is left out. Times compare only where `fingerprint` is equal. */
export const BenchMachine = record({
  /** Hash over processor, dispatch path, caches, affinity, hypervisor, governor and huge pages. */
  fingerprint: name,
  cpu: record({
    vendor: maybe(name),
    model: name,
    family: maybe(index),
    modelNumber: maybe(index),
    stepping: maybe(index),
    flags: list(name, 1024),
  }),
  isa: name,
  isas: list(name, 16),
  caches: list(record({ level: index, kind: name, bytes: index, sharedBy: maybe(name) }), 64),
  onlineCpus: index,
  affinity: maybe(name),
  memoryBytes: maybe(index),
  hypervisor: maybe(name),
  governor: maybe(name),
  hugePages: maybe(name),
  kernel: name,
  libc: maybe(name),
  platform: name,
  runtime: name,
  clockHz: maybe(rate),
  peaks: list(BenchPeak, 256),
  bandwidths: list(BenchBandwidth, 1024),
  /** Every variable that steers a linear algebra library or its threads, as it was for us. */
  environment: table(text),
});
export type BenchMachine = z.infer<typeof BenchMachine>;
