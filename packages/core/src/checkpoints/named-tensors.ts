import { CircuitscopeError } from '@circuitscope/schema';
import { isKind } from './pickle.ts';
import { madeTensor, type TorchDict, type TorchPickled, type TorchTensor } from './torch-values.ts';

const limits = { tensors: 100_000, values: 1_000_000, depth: 32, nameLength: 1024 } as const;

/** Keys under which training programs put the weights, first come first. */
const homes = ['state_dict', 'model_state_dict', 'model', 'module', 'net', 'network', 'weights', 'params'];
/** Prefixes of wrappers: DataParallel, torch.compile. */
const wrappers = ['module.', '_orig_mod.'];
/** Names under `model.` that are the model's own: transformers' Llama, OPT, BART and their kin. */
const ownModel = /^model\.(layers|embed_tokens|norm|encoder|decoder|shared)\b/;

/**
 * The tensors of a state dict by name. Where the pickle's value is no state dict itself, it is the dict under one of the
 * keys above, else the only OrderedDict that holds tensors; a dict inside a dict gives `outer.inner`. A wrapper's prefix
 * is dropped if every name has it, and so is `model.` (Lightning's) unless it is the model's own. What is neither tensor
 * nor holds one (steps, options, notes) is passed over.
 *
 * @throws CircuitscopeError `bad_pickle`.
 */
export function namedTensors(root: TorchPickled, at: string): ReadonlyMap<string, TorchTensor> {
  const walk = new Walk(at);
  const tensors = new Map<string, TorchTensor>();
  const single = madeTensor(root);
  if (single) tensors.set('tensor', single);
  else walk.collect(stateDict(root, walk), '', 0, tensors);
  if (tensors.size === 0) throw bad(at, 'it holds no tensors', 'a state dict', 'none');
  return withoutWrappers(tensors);
}

/** The dict that holds the weights, from the outermost in. */
function stateDict(value: TorchPickled, walk: Walk): TorchPickled {
  for (let depth = 0; depth < limits.depth && isKind(value, 'dict'); depth++) {
    const dict: TorchDict = value;
    if ([...dict.entries.values()].some(madeTensor)) return value;
    const inner = [...dict.entries].filter(([, entry]) => isKind(entry, 'dict') && walk.holdsTensor(entry, 0));
    const home = homes.map((key) => inner.find(([name]) => name === key)).find((found) => found !== undefined);
    const [only] = inner.length === 1 && isOrdered(inner[0]?.[1]) ? inner : [];
    const next = home ?? only;
    if (!next) return value;
    value = next[1];
  }
  return value;
}

const isOrdered = (value: TorchPickled | undefined): boolean => isKind(value, 'dict') && value.ordered;

/** Goes through a value that may be shared or hold itself: the number of steps is bounded, not trusted. */
class Walk {
  #left: number = limits.values;
  readonly #at: string;

  constructor(at: string) {
    this.#at = at;
  }

  holdsTensor(value: TorchPickled, depth: number): boolean {
    this.#count(depth);
    if (madeTensor(value)) return true;
    return children(value).some(([, child]) => this.holdsTensor(child, depth + 1));
  }

  collect(value: TorchPickled, path: string, depth: number, into: Map<string, TorchTensor>): void {
    this.#count(depth);
    for (const [key, child] of children(value)) {
      if (typeof key !== 'string' && typeof key !== 'number') continue;
      const name = path === '' ? String(key) : `${path}.${key}`;
      const tensor = madeTensor(child);
      if (!tensor) {
        if (name.length <= limits.nameLength) this.collect(child, name, depth + 1, into);
        continue;
      }
      if (name.length > limits.nameLength)
        throw bad(this.#at, 'a name is too long', `at most ${limits.nameLength} characters`, `${name.length}`);
      if (into.has(name)) throw bad(`${this.#at}: ${name}`, 'two tensors have one name', 'names that differ', name);
      into.set(name, tensor);
      if (into.size > limits.tensors)
        throw bad(this.#at, 'there are too many tensors', `at most ${limits.tensors}`, 'more');
    }
  }

  #count(depth: number): void {
    if (--this.#left < 0 || depth > limits.depth)
      throw bad(this.#at, 'its values nest without end', `at most ${limits.depth} levels`, 'more, or a cycle');
  }
}

function children(value: TorchPickled): (readonly [TorchPickled, TorchPickled])[] {
  if (isKind(value, 'dict')) return [...value.entries];
  return isKind(value, 'list') || isKind(value, 'tuple') ? value.items.map((item, i) => [i, item] as const) : [];
}

function withoutWrappers(tensors: ReadonlyMap<string, TorchTensor>): ReadonlyMap<string, TorchTensor> {
  const names = [...tensors.keys()];
  const strips = (prefix: string): boolean => names.every((name) => name.startsWith(prefix) && name !== prefix);
  const prefix =
    wrappers.find(strips) ?? (strips('model.') && !names.some((name) => ownModel.test(name)) ? 'model.' : undefined);
  if (prefix === undefined) return tensors;
  return withoutWrappers(new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor])));
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_pickle', `${at} is not a checkpoint: ${what}; check that it is the right file.`, {
    at,
    expected,
    got,
  });
}
