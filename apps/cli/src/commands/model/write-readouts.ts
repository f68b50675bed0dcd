import { mkdtempSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  readSafetensorsHeader,
  type TensorToWrite,
  type WritableData,
  writeSafetensors,
} from '@circuitscope/core/checkpoints';
import { findSite } from '@circuitscope/core/graph';
import {
  boundShape,
  checkPrompt,
  type Engine,
  type Prompt,
  type Run,
  type RunOptions,
  runPlan,
} from '@circuitscope/core/plan';
import type { Plan, Readout } from '@circuitscope/schema';
import { readEntries } from './read-entries.ts';

export interface WriteReadouts {
  readonly engine: Engine;
  readonly plan: Plan;
  readonly prompt: Prompt;
  /** A file that does not exist, or may be replaced. */
  readonly out: string;
  readonly settings: Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes' | 'dictionaries'>;
  readonly onProgress: (share: number, what: string) => void;
  /** Readouts of about this many bytes are held at once. */
  readonly bytesAtOnce?: number;
}

export interface WrittenTensor {
  readonly name: string;
  readonly dtype: 'f32' | 'f64' | 'i32';
  readonly shape: readonly number[];
}

/**
 * Runs a plan and writes its readouts as safetensors. What does not fit into memory at once is run in groups of readouts,
 * each of them set down beside the result until all are there: looking never changes a value, so groups change no bit.
 */
export async function writeReadouts({
  engine,
  plan,
  prompt,
  out,
  settings,
  onProgress,
  bytesAtOnce = 1 << 28,
}: WriteReadouts): Promise<WrittenTensor[]> {
  const names = namesOf(plan.readouts);
  const groups = grouped(plan, names, (readout) => estimateBytes(engine, plan, prompt, readout), bytesAtOnce);
  const runGroup = async (at: number): Promise<TensorToWrite[]> => {
    const group = groups[at] ?? { readouts: [], names: [] };
    const run = await runPlan(engine, { ...plan, readouts: group.readouts }, prompt, {
      ...settings,
      onProgress: (share) =>
        onProgress((at + share) / groups.length, groups.length > 1 ? `group ${at + 1} of ${groups.length}` : 'running'),
    });
    return tensorsOf(run, group.names);
  };
  if (groups.length === 1) {
    const tensors = await runGroup(0);
    writeSafetensors(out, tensors);
    return tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  }
  // Beside the result, so that the disk which must hold it holds the parts too.
  const folder = mkdtempSync(join(dirname(out), `.${basename(out)}-`));
  try {
    const merged: TensorToWrite[] = [];
    for (let at = 0; at < groups.length; at++) {
      const tensors = await runGroup(at);
      const part = join(folder, `${at}.safetensors`);
      writeSafetensors(part, tensors);
      const stored = new Map(readSafetensorsHeader(part).tensors.map((tensor) => [tensor.name, tensor]));
      for (const { name, dtype, shape } of tensors) {
        const entry = stored.get(name);
        if (entry) merged.push({ name, dtype, shape, data: () => readEntries(entry) });
      }
    }
    writeSafetensors(out, merged);
    return merged.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A capture has its site's name; what stands twice is told apart by its place in the plan: `logits#3`. */
function namesOf(readouts: readonly Readout[]): string[] {
  const taken = new Set<string>();
  return readouts.map((readout, at) => {
    const name = nameOf(readout);
    const free = taken.has(name) ? `${name}#${at}` : name;
    taken.add(free);
    return free;
  });
}

function nameOf(readout: Readout): string {
  switch (readout.kind) {
    case 'capture':
      return readout.at.site;
    case 'gradient':
      return `${readout.wrt.kind === 'edges' ? 'edges' : 'gradient'}/${readout.wrt.kind === 'param' ? readout.wrt.name : readout.wrt.at.site}`;
    default:
      return words[readout.kind];
  }
}

const words = {
  logitDiff: 'logit_diff',
  loss: 'loss',
  project: 'project',
  latents: 'latents',
  topK: 'top_k',
  entropy: 'entropy',
  logProb: 'log_prob',
  rank: 'rank',
  kl: 'kl',
} as const;

interface Group {
  readonly readouts: Readout[];
  readonly names: string[];
}

function grouped(plan: Plan, names: readonly string[], bytesOf: (readout: Readout) => number, most: number): Group[] {
  const groups: Group[] = [];
  let held = Number.POSITIVE_INFINITY;
  // Every change must reach a readout of its group, and only the whole plan is known to be so.
  const divisible = plan.interventions.length === 0 && plan.sweep === undefined;
  plan.readouts.forEach((readout, at) => {
    const bytes = bytesOf(readout);
    if (groups.length === 0 || (divisible && held + bytes > most)) {
      groups.push({ readouts: [], names: [] });
      held = 0;
    }
    held += bytes;
    const group = groups.at(-1);
    group?.readouts.push(readout);
    group?.names.push(names[at] ?? '');
  });
  return groups;
}

/** Bytes of a whole captured site. Other readouts are small beside it; a site on request has no size before the plan is compiled. */
function estimateBytes({ graph }: Engine, plan: Plan, prompt: Prompt, readout: Readout): number {
  if (readout.kind !== 'capture' || !graph.nodes.some(({ sites }) => sites.includes(readout.at.site))) return 0;
  const batch = prompt.tokens.length;
  const { pos, source = pos } = checkPrompt(prompt);
  const sizes = { batch, rows: batch * (plan.sweep?.length ?? 1), pos, source };
  return 4 * boundShape(findSite(graph, readout.at.site).shape, sizes).reduce((a, b) => a * b, 1);
}

function tensorsOf(run: Run, names: readonly string[]): TensorToWrite[] {
  return run.results.flatMap((result, at): TensorToWrite[] => {
    const name = names[at] ?? '';
    if (result.kind === 'latents') {
      const whole = (what: string, data: Int32Array): TensorToWrite => ({
        name: `${name}.${what}`,
        dtype: 'i32',
        shape: [data.length],
        data,
      });
      return [
        floats(`${name}.values`, { shape: [result.values.length], data: result.values }),
        whole('indices', result.latents),
        whole('row_start', result.rowStart),
      ];
    }
    if (result.kind !== 'topK') return [floats(name, result.tensor)];
    const { indices } = result;
    return [
      floats(`${name}.values`, result.values),
      { name: `${name}.indices`, dtype: 'i32', shape: indices.shape, data: indices.data },
    ];
  });
}

function floats(
  name: string,
  { shape, data }: { readonly shape: readonly number[]; readonly data: WritableData },
): TensorToWrite {
  return { name, dtype: data instanceof Float64Array ? 'f64' : 'f32', shape, data };
}
