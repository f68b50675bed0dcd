import { chooseExecutor, type Engine, engineFor, type Model } from '@circuitscope/core';
import { type Circuit, CircuitscopeError, type Hash } from '@circuitscope/schema';
import { openDecoder } from '@circuitscope/zoo';

/** A model that stands ready: opened once, and shown to hold the weights that a circuit was found in. */
export interface LiveModel {
  readonly model: Model;
  readonly engine: Engine;
  /** Texts of token ids, where the zoo knows them. */
  readonly tokens: readonly string[] | null;
}

/** Models kept open. Weights are mapped, not copied, but what was packed for the kernels stays. */
const MOST_OPEN = 2;
const open = new Map<Hash, Promise<LiveModel>>();

/**
 * The model of a circuit. Opened from where the record says it lay, and refused unless its weights are those of the record:
 * numbers from another model under the name of this one would be worse than none.
 *
 * @throws CircuitscopeError `no_source`, `model_changed`, and what opening a checkpoint throws.
 */
export function liveModel(circuit: Circuit): Promise<LiveModel> {
  const { contentHash } = circuit.model;
  const known = open.get(contentHash);
  if (known) return known;
  const opening = openVerified(circuit);
  open.set(contentHash, opening);
  opening.catch(() => open.delete(contentHash));
  for (const oldest of open.keys()) {
    if (open.size <= MOST_OPEN) break;
    open.delete(oldest);
  }
  return opening;
}

async function openVerified({ model: ref }: Circuit): Promise<LiveModel> {
  if (ref.source === undefined) {
    throw new CircuitscopeError(
      'no_source',
      `The record does not say where ${ref.name} lies, so nothing can be run on it; find the circuit again with --model PATH.`,
    );
  }
  if (ref.view !== 'raw') {
    throw new CircuitscopeError(
      'unsupported_view',
      `This circuit was found in the ${ref.view} view of ${ref.name}; live cuts run the raw view only.`,
    );
  }
  const { model, member } = await openDecoder(ref.source);
  const found = await model.checkpoint.contentHash();
  if (found !== ref.contentHash) {
    throw new CircuitscopeError(
      'model_changed',
      `The weights at ${ref.source} are not those that this circuit was found in; put the old files back or find the circuit again.`,
      { at: ref.source, expected: ref.contentHash, got: found },
    );
  }
  const { executor } = await chooseExecutor();
  return { model, engine: engineFor(model, executor), tokens: member?.tokens ?? null };
}
