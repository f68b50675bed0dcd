import {
  type AnyModel,
  chooseExecutor,
  type Engine,
  engineFor,
  type Model,
  openTokenizer,
  requireDecoder,
  type Tokenizer,
  wordTokenizer,
} from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import { openModel, type ZooMember } from '@circuitscope/zoo';
import { type KnownModel, knownModel } from './models.ts';

/** A model that stands ready for questions about texts. */
export interface OpenModel {
  readonly known: KnownModel;
  readonly model: AnyModel;
  readonly member: ZooMember | null;
  /** null: it comes without one, and reads ids. */
  readonly tokenizer: Tokenizer | null;
  readonly engine: Engine;
}

const MOST_OPEN = 2;
const open = new Map<string, Promise<OpenModel>>();

/** Opens a model by the name of its address; the last ones stay open. @throws CircuitscopeError `unknown_model` and what opening throws. */
export function openKnown(name: string): Promise<OpenModel> {
  const known = knownModel(name);
  const found = open.get(known.source);
  if (found) return found;
  const opening = openIt(known);
  open.set(known.source, opening);
  opening.catch(() => open.delete(known.source));
  for (const oldest of open.keys()) {
    if (open.size <= MOST_OPEN) break;
    open.delete(oldest);
  }
  return opening;
}

/** The same, for questions that only decoders answer. */
export async function openKnownDecoder(name: string): Promise<OpenModel & { readonly model: Model }> {
  const found = await openKnown(name);
  return { ...found, model: requireDecoder(found.model) };
}

async function openIt(known: KnownModel): Promise<OpenModel> {
  const { model, member } = await openModel(known.source);
  const { executor } = await chooseExecutor();
  return { known, model, member, tokenizer: tokenizerOf(known.source, member), engine: engineFor(model, executor) };
}

function tokenizerOf(source: string, member: ZooMember | null): Tokenizer | null {
  if (member) return wordTokenizer(member.tokens, source);
  try {
    return openTokenizer(source);
  } catch (error) {
    // A checkpoint without a tokenizer is an ordinary case: ids are written and shown.
    if (error instanceof CircuitscopeError && error.code === 'missing_tokenizer') return null;
    throw error;
  }
}
