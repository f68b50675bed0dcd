import type { AlignedText, Rewrite } from './aligned-text.ts';
import { withoutForms } from './young-characters.ts';

export type UnicodeForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/**
 * A text in one of Unicode's normal forms (Annex 15), with the place of each character. The letters are the runtime's
 * (`String.normalize`); the places follow the algorithm itself: decompose each character, put marks in order, compose. As in
 * the reference the k-th character of a decomposition that begins a place stands there, whatever the order made of it.
 */
export function inUnicodeForm(source: AlignedText, form: UnicodeForm): AlignedText {
  if (source.text.normalize(form) === source.text) return source;
  const letters = form === 'NFC' || form === 'NFD' ? 'NFD' : 'NFKD';
  const parts = source.text.split(youngOnes).flatMap((part) => ordered(decomposed(part, letters)));
  return source.rewritten(form === 'NFC' || form === 'NFKC' ? composed(parts) : parts);
}

/** Captured, so that they stay. */
const youngOnes = new RegExp(`(${withoutForms.source})`, 'u');

function decomposed(text: string, form: 'NFD' | 'NFKD'): Rewrite[] {
  const parts: Rewrite[] = [];
  for (const character of text) {
    if (character < '\u00a0' || withoutForms.test(character)) {
      parts.push([character, 0]);
      continue;
    }
    let change = 0;
    for (const part of character.normalize(form)) {
      parts.push([part, change]);
      change = 1;
    }
  }
  return parts;
}

/** Marks in canonical order. Equal ones keep theirs, so that the n-th of a kind is the n-th of it still. */
function ordered(parts: readonly Rewrite[]): readonly Rewrite[] {
  const before = parts.map(([part]) => part).join('');
  const after = before.normalize('NFD');
  if (after === before) return parts;
  const changes = new Map<string, number[]>();
  for (const [part, change] of parts) {
    const list = changes.get(part);
    if (list) list.push(change);
    else changes.set(part, [change]);
  }
  const taken = new Map<string, number>();
  return Array.from(after, (part): Rewrite => {
    const count = taken.get(part) ?? 0;
    taken.set(part, count + 1);
    return [part, changes.get(part)?.[count] ?? 0];
  });
}

/** A starter takes in what follows it, over marks of a lower class; each that it takes in frees a place. */
function composed(parts: readonly Rewrite[]): Rewrite[] {
  const out: Rewrite[] = [];
  let starter = -1;
  let last: string | undefined; // the mark behind the starter that stayed outside
  for (const [part, change] of parts) {
    const held = out[starter];
    const free = last === undefined ? part >= '\u00a0' : isMark(part) && areOrdered(last, part);
    const whole = held && free ? compositionOf(held[0], part) : undefined;
    if (held && whole !== undefined) {
      out[starter] = [whole, held[1] + change - 1];
      continue;
    }
    out.push([part, change]);
    if (isMark(part)) last = held ? part : undefined;
    else [starter, last] = [out.length - 1, undefined];
  }
  return out;
}

const compositions = new Map<string, string | undefined>();

function compositionOf(first: string, second: string): string | undefined {
  const pair = first + second;
  if (compositions.has(pair)) return compositions.get(pair);
  const whole = pair.normalize('NFC');
  const found = [...whole].length === 1 && !withoutForms.test(pair) ? whole : undefined;
  if (compositions.size >= 1 << 16) compositions.clear();
  compositions.set(pair, found);
  return found;
}

// JavaScript does not say combining classes; how the runtime orders two marks does. U+0334 has the lowest class, U+0345 the
// highest.
const lowest = '\u0334';
const highest = '\u0345';

const marks = new Map<string, boolean>();

/** Whether the class is not 0. */
function isMark(part: string): boolean {
  if (part < '\u0300') return false;
  const known = marks.get(part);
  if (known !== undefined) return known;
  const found = !withoutForms.test(part) && (isSwapped(part, lowest) || isSwapped(highest, part));
  if (marks.size >= 1 << 16) marks.clear();
  marks.set(part, found);
  return found;
}

/** Whether the class of the first is below that of the second. */
const areOrdered = (first: string, second: string): boolean => isSwapped(second, first);

const isSwapped = (first: string, second: string): boolean => (first + second).normalize('NFD') === second + first;
