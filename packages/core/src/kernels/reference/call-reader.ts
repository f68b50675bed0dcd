import { CircuitscopeError } from '@circuitscope/schema';
import { type Floats, type IntTensor, isIntTensor, sameShape, type Tensor } from '../../tensor/index.ts';
import { type KernelCall, type KernelParam, type KernelValue, kernelSpec } from '../contract.ts';

// Every kernel reads its call through these, so that a wrong call is an error with the kernel's and the value's name.

export function input(call: KernelCall, index: number): Tensor {
  return present(call, index, optionalInput(call, index));
}

export function optionalInput(call: KernelCall, index: number): Tensor | null {
  const value = call.inputs[index] ?? null;
  if (value && isIntTensor(value)) throw wrongType(call, inputSpec(call, index), 'f32', 'i32');
  return value;
}

export function intInput(call: KernelCall, index: number): IntTensor {
  return present(call, index, optionalIntInput(call, index));
}

export function optionalIntInput(call: KernelCall, index: number): IntTensor | null {
  const value = call.inputs[index] ?? null;
  if (value && !isIntTensor(value)) throw wrongType(call, inputSpec(call, index), 'i32', 'f32');
  return value;
}

export function param(call: KernelCall, index: number): Tensor {
  const value = call.params[index];
  if (value) return value;
  throw missing(call, kernelSpec(call.kernel).params[index]);
}

/** A flat parameter; its shape may be written in more than one dimension, its length may not vary. */
export function vectorParam(call: KernelCall, index: number, length: number): Floats {
  const { data } = param(call, index);
  if (data.length === length) return data;
  const name = kernelSpec(call.kernel).params[index]?.name ?? '';
  throw badShape(call, name, [length], param(call, index).shape);
}

export function optionalVectorParam(call: KernelCall, index: number, length: number): Floats | null {
  return call.params[index] ? vectorParam(call, index, length) : null;
}

export function numberAttr(call: KernelCall, name: string): number {
  const value = call.attrs[name];
  if (typeof value === 'number') return value;
  throw badAttribute(call, name, 'a number');
}

/** A size or an index. */
export function countAttr(call: KernelCall, name: string): number {
  const value = numberAttr(call, name);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw badAttribute(call, name, 'a whole number from 0');
}

export function flagAttr(call: KernelCall, name: string): boolean {
  const value = call.attrs[name];
  if (typeof value === 'boolean') return value;
  throw badAttribute(call, name, 'true or false');
}

export function wordAttr<const W extends string>(call: KernelCall, name: string, words: readonly W[]): W {
  const value = call.attrs[name];
  const word = words.find((candidate) => candidate === value);
  if (word !== undefined) return word;
  throw badAttribute(call, name, `one of ${words.join(', ')}`);
}

/** The three inner sizes [n1, n2, n3] that an edit sees, whatever the value's own shape. */
export function sizesAttr(call: KernelCall, name: string): readonly [number, number, number] {
  const value = call.attrs[name];
  if (Array.isArray(value) && value.length === 3) {
    const [a, b, c] = value;
    if (isSize(a) && isSize(b) && isSize(c)) return [a, b, c];
  }
  throw badAttribute(call, name, 'three sizes; symbols are bound before the call');
}

/** Checks a shape; null entries are free. Returns nothing: read the sizes from the shape that passed. */
export function expectShape(
  call: KernelCall,
  name: string,
  shape: readonly number[],
  expected: readonly (number | null)[],
): void {
  const fits =
    shape.length === expected.length && expected.every((size, axis) => size === null || size === shape[axis]);
  if (!fits) throw badShape(call, name, expected, shape);
}

/** Checks the planned shape of an output and gives it back. */
export function outShape(call: KernelCall, index: number, expected: readonly number[]): readonly number[] {
  const planned = call.outShapes[index];
  if (!planned || !wanted(call, index)) return expected;
  if (sameShape(planned, expected)) return planned;
  throw badShape(call, kernelSpec(call.kernel).outputs[index]?.name ?? `output ${index}`, expected, planned);
}

export function wanted(call: KernelCall, index: number): boolean {
  return call.wanted[index] !== false;
}

/** All sizes but the last multiplied, and the last. A scalar counts as one row of one. */
export function rowsAndWidth(shape: readonly number[]): { readonly rows: number; readonly width: number } {
  const width = shape.at(-1) ?? 1;
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), width };
}

export function badShape(
  call: KernelCall,
  name: string,
  expected: readonly (number | null)[],
  got: readonly number[],
): CircuitscopeError {
  const wish = `[${expected.map((size) => size ?? '…').join(', ')}]`;
  const have = `[${got.join(', ')}]`;
  return new CircuitscopeError('bad_shape', `${call.kernel} needs ${name} as ${wish}, but it is ${have}.`, {
    at: `${call.kernel}.${name}`,
    expected: wish,
    got: have,
  });
}

export function outOfRange(call: KernelCall, name: string, value: number, limit: number): CircuitscopeError {
  const last = limit - 1;
  const range = limit > 0 ? `0 … ${last}` : 'none: the table is empty';
  return new CircuitscopeError(
    'out_of_range',
    `${call.kernel} got ${value} in ${name}, but only 0 … ${last} exist; check the tokens against the model's vocabulary and context.`,
    { at: `${call.kernel}.${name}`, expected: range, got: String(value) },
  );
}

function present<T>(call: KernelCall, index: number, value: T | null): T {
  if (value) return value;
  throw missing(call, inputSpec(call, index));
}

/** Inputs behind a repeated one count from the end. */
function inputSpec(call: KernelCall, index: number): KernelValue | undefined {
  const { inputs } = kernelSpec(call.kernel);
  const repeated = inputs.findIndex((spec) => spec.many);
  if (repeated < 0 || index < repeated) return inputs[index];
  const fromEnd = call.inputs.length - index;
  return fromEnd < inputs.length - repeated ? inputs[inputs.length - fromEnd] : inputs[repeated];
}

function missing(call: KernelCall, spec: KernelValue | KernelParam | undefined): CircuitscopeError {
  const name = spec?.name ?? 'a value';
  return new CircuitscopeError('missing_value', `${call.kernel} needs ${name} ${spec?.shape ?? ''} and got nothing.`, {
    at: `${call.kernel}.${name}`,
    expected: spec?.shape ?? 'a tensor',
    got: 'nothing',
  });
}

function wrongType(call: KernelCall, spec: KernelValue | undefined, expected: string, got: string): CircuitscopeError {
  const name = spec?.name ?? 'an input';
  return new CircuitscopeError('bad_dtype', `${call.kernel} needs ${name} as ${expected}, but it is ${got}.`, {
    at: `${call.kernel}.${name}`,
    expected,
    got,
  });
}

export function badAttribute(call: KernelCall, name: string, expected: string): CircuitscopeError {
  const got = JSON.stringify(call.attrs[name]) ?? 'nothing';
  return new CircuitscopeError(
    'bad_attribute',
    `${call.kernel} needs the attribute ${name} to be ${expected}, but it is ${got}.`,
    { at: `${call.kernel}.${name}`, expected, got },
  );
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
