/** SentencePiece's compiled form of some replacements, for tests: a double-array trie over UTF-8, then the texts. */
export function charsmapOf(replacements: { readonly [text: string]: string }, size = 1 << 12): string {
  const encoder = new TextEncoder();
  const units = new Uint32Array(size);
  const taken = new Set<number>([0]);
  const texts: number[] = [];
  const entries = Object.entries(replacements).map(([text, fresh]) => {
    const at = texts.length;
    texts.push(...encoder.encode(fresh), 0);
    return { key: encoder.encode(text), at };
  });

  const place = (unit: number, depth: number, below: typeof entries): void => {
    const leaf = below.find(({ key }) => key.length === depth);
    const labels = [...new Set(below.flatMap(({ key }) => key[depth] ?? []))];
    const children = leaf ? [0, ...labels] : labels;
    let offset = 1;
    while (children.some((label) => taken.has(unit ^ offset ^ label))) offset++;
    for (const label of children) taken.add(unit ^ offset ^ label);
    units[unit] = (units[unit] ?? 0) | (offset << 10) | (leaf ? 0x100 : 0);
    if (leaf) units[unit ^ offset] = (leaf.at | 0x8000_0000) >>> 0;
    for (const label of labels) {
      units[unit ^ offset ^ label] = label;
      place(
        unit ^ offset ^ label,
        depth + 1,
        below.filter(({ key }) => key[depth] === label),
      );
    }
  };
  place(0, 0, entries);

  const bytes = new Uint8Array(4 + 4 * units.length + texts.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 * units.length, true);
  units.forEach((unit, at) => {
    view.setUint32(4 + 4 * at, unit, true);
  });
  bytes.set(texts, 4 + 4 * units.length);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
