import { canonicalJson, type Hash, type Json } from '@circuitscope/schema';
import { digestBytes } from './read-file.ts';

/** What was asked, in full: equal actions have equal results. Time, host, threads and folders have no place here. */
export interface Action {
  /** Which analysis: `circuit_discover`, `head_scores`. */
  readonly kind: string;
  /** Content hashes of the models that were read. */
  readonly models: readonly Hash[];
  /** Hash of the computation, where there is one. */
  readonly graph?: Hash;
  /** Plan, options, seeds. */
  readonly parameters: Json;
  /** Hashes of the data that were read. */
  readonly data: readonly Hash[];
  /** Changes whenever a kernel's bits do. */
  readonly numericsVersion: string;
  /** Changes whenever the analysis would write something else. */
  readonly toolVersion: string;
}

/** The hash of an action's canonical JSON. @throws CircuitscopeError `not_json` */
export function actionKey(action: Action): Hash {
  return digestJson({ ...action });
}

/** Content digest of a JSON value: sha256 of its canonical text, which is what a record's file holds. */
export function digestJson(value: unknown): Hash {
  return digestBytes(new TextEncoder().encode(canonicalJson(value)));
}
