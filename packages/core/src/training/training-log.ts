import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { CircuitscopeError } from '@circuitscope/schema';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import type { Metrics } from './recipe.ts';

/** One line of the log: what holds of the weights after `step` steps. No times, so that equal trainings have equal logs. */
export interface LogLine {
  readonly step: number;
  /** On the batch of that step, before it changes anything. */
  readonly loss: number;
  /** Of the step that follows; missing in the last line. */
  readonly learningRate?: number;
  /** Of that step's gradient, before clipping. */
  readonly gradientNorm?: number;
  readonly metrics?: Metrics;
}

/** A file of lines that is cut to what a checkpoint knows of before more are appended. */
export interface LogFile {
  readonly append: (line: object) => void;
  /** Puts what was appended on the disk. @returns the length of the file */
  readonly sync: () => number;
  readonly close: () => void;
}

/**
 * @param keep bytes that stay; what follows them was written by steps that are made again
 * @throws CircuitscopeError `bad_log` where the file is shorter than that
 */
export function openLog(path: string, keep: number): LogFile {
  const file = openSync(path, keep === 0 ? 'w' : 'r+');
  let length = fstatSync(file).size;
  if (length < keep) {
    closeSync(file);
    throw new CircuitscopeError(
      'bad_log',
      `${path} is shorter than its checkpoint says; bring the whole folder back, or train anew in another.`,
      { at: path, expected: `at least ${keep} bytes`, got: `${length} bytes` },
    );
  }
  ftruncateSync(file, keep);
  length = keep;
  return {
    append: (line) => {
      const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
      let written = 0;
      while (written < bytes.length)
        written += writeSync(file, bytes, written, bytes.length - written, length + written);
      length += bytes.length;
    },
    sync: () => {
      fsyncSync(file);
      return length;
    },
    close: () => closeSync(file),
  };
}

/** The first line of every log: which training it is. */
export interface LogHead {
  readonly kind: 'training';
  readonly version: 1;
  readonly recipe: string;
  readonly seed: number;
  readonly steps: number;
}

export interface TrainingLog {
  readonly head: LogHead;
  readonly lines: readonly LogLine[];
}

const MOST_BYTES = 256e6;

/**
 * Reads the log of a training, also of one that is running: a line without its end is left out.
 * @throws CircuitscopeError `missing_file`, `too_large`, `bad_log`
 */
export function readTrainingLog(path: string): TrainingLog {
  const bytes = readWhole(path, MOST_BYTES);
  const rows: Uint8Array[] = [];
  for (let start = 0; ; ) {
    const end = bytes.indexOf(0x0a, start);
    if (end < 0) break;
    rows.push(bytes.subarray(start, end));
    start = end + 1;
  }
  const values = rows.map((row, at) => parseJson(row, { code: 'bad_log', at: `${path}: line ${at + 1}`, maxDepth: 3 }));
  const [head, ...lines] = values;
  if (!isHead(head)) throw badLine(path, 1, 'the head of a training');
  return {
    head,
    lines: lines.map((line, at) => {
      if (isLine(line)) return line;
      throw badLine(path, at + 2, 'a step with its loss');
    }),
  };
}

function isHead(value: unknown): value is LogHead {
  const fields = fieldsOf(value);
  return (
    fields.kind === 'training' &&
    fields.version === 1 &&
    typeof fields.recipe === 'string' &&
    [fields.seed, fields.steps].every(Number.isSafeInteger)
  );
}

function isLine(value: unknown): value is LogLine {
  const { step, loss, learningRate = 0, gradientNorm = 0, metrics = {} } = fieldsOf(value);
  const numbers = [loss, learningRate, gradientNorm, ...Object.values(fieldsOf(metrics))];
  return Number.isSafeInteger(step) && numbers.every((each) => typeof each === 'number' && Number.isFinite(each));
}

function fieldsOf(value: unknown): { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function badLine(path: string, line: number, expected: string): CircuitscopeError {
  return new CircuitscopeError('bad_log', `Line ${line} of ${path} is not ${expected}; this is no log of a training.`, {
    at: `${path}: line ${line}`,
    expected,
  });
}
