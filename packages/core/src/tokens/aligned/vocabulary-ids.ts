import { isObject, member } from '../json-part.ts';

/** Ids by piece, of a model whose `vocab` is an object. */
export function vocabularyIds(model: unknown): ReadonlyMap<string, number> {
  const vocab = member(model, 'vocab');
  const entries = isObject(vocab) ? Object.entries(vocab) : [];
  return new Map(entries.flatMap(([piece, id]) => (typeof id === 'number' ? [[piece, id] as const] : [])));
}

/** The bytes of a character as pieces `<0x0A>`, where the vocabulary has each of them. */
export function byteIds(text: string, ids: ReadonlyMap<string, number>): number[] | null {
  const found: number[] = [];
  for (const byte of new TextEncoder().encode(text)) {
    const id = ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return null;
    found.push(id);
  }
  return found;
}
