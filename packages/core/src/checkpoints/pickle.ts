import { CircuitscopeError } from '@circuitscope/schema';

// Python's pickles are programs. This reads those that only build data: a machine with the few instructions that
// `torch.save` and numpy emit, none of which calls anything. A name of a class or function is looked up in the caller's own
// table; "calling" it runs TypeScript that the caller wrote, and any other name is an error.

/** A value that a pickle describes; `T` are the caller's own values (tensors, types, …). */
export type Pickled<T> =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | { readonly kind: 'list'; readonly items: Pickled<T>[] }
  | { readonly kind: 'tuple'; readonly items: readonly Pickled<T>[] }
  | PickledDict<T>
  | { readonly kind: 'made'; readonly value: T };

export interface PickledDict<T> {
  readonly kind: 'dict';
  /** Made by collections.OrderedDict, as state dicts are. */
  readonly ordered: boolean;
  readonly entries: Map<Pickled<T>, Pickled<T>>;
}

/** What a pickle may name. */
export interface PickleNames<T> {
  /** The value of a global `module name`, undefined where it is not allowed. */
  global(name: string): T | undefined;
  /** The value of `callee(*args)`, undefined where that is not allowed. */
  call(callee: T, args: readonly Pickled<T>[]): Pickled<T> | undefined;
  /** The value of a persistent id, undefined where it is not allowed. */
  persistent(id: Pickled<T>): T | undefined;
}

export const pickleLimits = { bytes: 64_000_000, textBytes: 1_000_000, items: 8_000_000 } as const;

const MARK: unique symbol = Symbol('mark');
type Slot<T> = Pickled<T> | typeof MARK;

/**
 * Runs one pickle of protocol 2 to 5.
 *
 * @param bytes may hold more after the pickle's end.
 * @returns the value, and the place after its end.
 * @throws CircuitscopeError `pickle_refused` for what is not data, `bad_pickle` for what is no pickle, `truncated`.
 */
export function unpickle<T>(
  bytes: Uint8Array,
  start: number,
  at: string,
  names: PickleNames<T>,
): { readonly value: Pickled<T>; readonly end: number } {
  const machine = new Machine(bytes, start, at, names);
  return { value: machine.run(), end: machine.place };
}

class Machine<T> {
  place: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #at: string;
  readonly #names: PickleNames<T>;
  readonly #stack: Slot<T>[] = [];
  readonly #memo = new Map<number, Pickled<T>>();
  #steps = 0;

  constructor(bytes: Uint8Array, start: number, at: string, names: PickleNames<T>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.place = start;
    this.#at = at;
    this.#names = names;
  }

  run(): Pickled<T> {
    if (this.#byte() !== 0x80 || this.#byte() > 5) throw this.#bad('it does not begin with protocol 2 to 5');
    for (;;) {
      const code = this.#byte();
      if (++this.#steps > pickleLimits.items) throw this.#bad(`it has more than ${pickleLimits.items} instructions`);
      if (code === 0x2e) break; // STOP
      const value = this.#value(code);
      if (value === undefined) this.#act(code);
      else this.#stack.push(value);
    }
    const value = this.#pop();
    if (this.#stack.length > 0) throw this.#bad('values are left over at its end');
    return value;
  }

  /** What an instruction puts on the stack; undefined for those that put nothing there. */
  #value(code: number): Slot<T> | undefined {
    switch (code) {
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4a: // BININT
        return this.#view.getInt32(this.#take(4), true);
      case 0x4b: // BININT1
        return this.#byte();
      case 0x4d: // BININT2
        return this.#view.getUint16(this.#take(2), true);
      case 0x8a: // LONG1
        return this.#long(this.#byte());
      case 0x47: // BINFLOAT, the one big-endian number
        return this.#view.getFloat64(this.#take(8), false);
      case 0x58: // BINUNICODE
        return this.#text(this.#view.getUint32(this.#take(4), true));
      case 0x8c: // SHORT_BINUNICODE
        return this.#text(this.#byte());
      case 0x43: // SHORT_BINBYTES
        return this.#slice(this.#byte());
      case 0x42: // BINBYTES
        return this.#slice(this.#view.getUint32(this.#take(4), true));
      case 0x28: // MARK
        return MARK;
      case 0x5d: // EMPTY_LIST
        return { kind: 'list', items: [] };
      case 0x7d: // EMPTY_DICT
        return { kind: 'dict', ordered: false, entries: new Map() };
      case 0x29: // EMPTY_TUPLE
        return { kind: 'tuple', items: [] };
      case 0x74: // TUPLE
        return { kind: 'tuple', items: this.#toMark() };
      case 0x85: // TUPLE1, TUPLE2, TUPLE3
      case 0x86:
      case 0x87:
        return { kind: 'tuple', items: this.#popMany(code - 0x84) };
      case 0x68: // BINGET
        return this.#kept(this.#byte());
      case 0x6a: // LONG_BINGET
        return this.#kept(this.#view.getUint32(this.#take(4), true));
      case 0x63: // GLOBAL
        return this.#global(`${this.#line()} ${this.#line()}`);
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        return this.#global(`${String(module).slice(0, 200)} ${String(name).slice(0, 200)}`);
      }
      case 0x52: // REDUCE
        return this.#call();
      case 0x51: // BINPERSID
        return this.#persistent();
      default:
        return undefined;
    }
  }

  #act(code: number): void {
    switch (code) {
      case 0x61: // APPEND
        this.#append([this.#pop()]);
        break;
      case 0x65: // APPENDS
        this.#append(this.#toMark());
        break;
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2));
        break;
      case 0x75: // SETITEMS
        this.#setItems(this.#toMark());
        break;
      case 0x71: // BINPUT
        this.#keep(this.#byte());
        break;
      case 0x72: // LONG_BINPUT
        this.#keep(this.#view.getUint32(this.#take(4), true));
        break;
      case 0x94: // MEMOIZE
        this.#keep(this.#memo.size);
        break;
      case 0x95: // FRAME: its length is a hint for buffers
        this.#take(8);
        break;
      case 0x62: // BUILD
        this.#build();
        break;
      default:
        throw this.#refused(`instruction 0x${code.toString(16).padStart(2, '0')}`, 'instructions that build data');
    }
  }

  #global(name: string): Pickled<T> {
    const value = this.#names.global(name);
    if (value === undefined) throw this.#refused(`the name ${JSON.stringify(name)}`, 'tensors, numbers, text, dicts');
    return { kind: 'made', value };
  }

  #call(): Pickled<T> {
    const [callee, args] = this.#popMany(2);
    if (!isMade(callee) || !isKind(args, 'tuple')) throw this.#bad('a call is not of a name with arguments');
    const value = this.#names.call(callee.value, args.items);
    if (value === undefined) throw this.#refused('a call that is not known, or with other arguments', 'known calls');
    return value;
  }

  #persistent(): Pickled<T> {
    const value = this.#names.persistent(this.#pop());
    if (value === undefined) throw this.#refused('a persistent id that names no storage', 'torch storages');
    return { kind: 'made', value };
  }

  /** State on an OrderedDict is `_metadata`, versions of modules; on anything else it could run code. */
  #build(): void {
    const state = this.#pop();
    const object = this.#top();
    if (isKind(object, 'dict') && object.ordered && isKind(state, 'dict')) return;
    throw this.#refused('state for an object that is no ordered dict', 'OrderedDict');
  }

  #append(items: readonly Pickled<T>[]): void {
    const list = this.#top();
    if (!isKind(list, 'list')) throw this.#bad('it appends to what is no list');
    for (const item of items) list.items.push(item);
  }

  #setItems(items: readonly Pickled<T>[]): void {
    const dict = this.#top();
    if (!isKind(dict, 'dict') || items.length % 2 !== 0) throw this.#bad('it sets items of what is no dict');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i] ?? null;
      if (dict.entries.has(key)) throw this.#bad(`a dict has the key ${String(key).slice(0, 80)} twice`);
      dict.entries.set(key, items[i + 1] ?? null);
    }
  }

  #keep(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #kept(index: number): Pickled<T> {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#bad(`it recalls value ${index}, which was never kept`);
    return value;
  }

  #top(): Pickled<T> {
    const value = this.#stack.at(-1);
    if (value === undefined || value === MARK) throw this.#bad('its stack is empty where a value is needed');
    return value;
  }

  #pop(): Pickled<T> {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): Pickled<T>[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  #toMark(): Pickled<T>[] {
    const items: Pickled<T>[] = [];
    for (;;) {
      const value = this.#stack.pop();
      if (value === undefined) throw this.#bad('a mark is missing');
      if (value === MARK) return items.reverse();
      items.push(value);
    }
  }

  #byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  /** The place of the next `count` bytes, which are then behind. */
  #take(count: number): number {
    const from = this.place;
    if (from + count > this.#bytes.length) {
      throw new CircuitscopeError('truncated', `The pickle in ${this.#at} is cut off; fetch the file again.`, {
        at: this.#at,
        expected: `${from + count} bytes`,
        got: `${this.#bytes.length} bytes`,
      });
    }
    this.place = from + count;
    return from;
  }

  #slice(count: number): Uint8Array {
    if (count > pickleLimits.textBytes) throw this.#bad(`a text of ${count} bytes is too long`);
    const from = this.#take(count);
    return this.#bytes.subarray(from, from + count);
  }

  #text(count: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#slice(count));
    } catch (error) {
      if (error instanceof CircuitscopeError) throw error;
      throw this.#bad('a text is not UTF-8');
    }
  }

  /** Two's complement of any length; a number where a float64 holds it. */
  #long(count: number): number | bigint {
    const bytes = this.#slice(count);
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
    const signed = BigInt.asIntN(8 * count, value);
    return BigInt.asIntN(54, signed) === signed ? Number(signed) : signed;
  }

  #line(): string {
    const from = this.place;
    while (this.#byte() !== 0x0a) if (this.place - from > 200) throw this.#bad('a name never ends');
    return new TextDecoder().decode(this.#bytes.subarray(from, this.place - 1));
  }

  #bad(what: string): CircuitscopeError {
    return new CircuitscopeError('bad_pickle', `${this.#at} is not a usable pickle: ${what}; fetch the file again.`, {
      at: `${this.#at}: byte ${this.place}`,
      expected: 'a pickle that describes tensors',
      got: what,
    });
  }

  #refused(got: string, expected: string): CircuitscopeError {
    return new CircuitscopeError(
      'pickle_refused',
      `${this.#at} asks for ${got}, and a pickle may only describe data here; nothing of it was run. Convert it to safetensors where it was made.`,
      { at: `${this.#at}: byte ${this.place}`, expected, got },
    );
  }
}

const isMade = <T>(value: Pickled<T> | undefined): value is { kind: 'made'; value: T } => isKind(value, 'made');

type Kinds<T> = Extract<Pickled<T>, { kind: string }>;

export function isKind<T, K extends Kinds<T>['kind']>(
  value: Pickled<T> | undefined,
  kind: K,
): value is Extract<Kinds<T>, { kind: K }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}
