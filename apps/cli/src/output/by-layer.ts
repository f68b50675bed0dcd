/** Layers whose rows differ in nothing but the layer share a row: `blocks.0…11.attn.hook_z`. Order of first occurrence. */
export function byLayer<T extends { readonly name: string }>(
  entries: readonly T[],
  alike: (entry: T) => string,
): { readonly name: string; readonly entry: T; readonly count: number }[] {
  const groups = new Map<
    string,
    { readonly entry: T; readonly layers: number[]; readonly parts: readonly [string, string] | null }
  >();
  for (const entry of entries) {
    const match = /^(\D*)(\d+)(.*)$/s.exec(entry.name);
    const [, before = '', layer = '', after = ''] = match ?? [];
    const layered = match && before.endsWith('.') && (after === '' || after.startsWith('.'));
    const key = layered ? `${before} ${after} ${alike(entry)}` : `${entry.name} ${alike(entry)}`;
    const group = groups.get(key) ?? { entry, layers: [], parts: layered ? ([before, after] as const) : null };
    group.layers.push(Number(layer));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ entry, layers, parts }) => ({
    name: parts ? `${parts[0]}${ranges(layers)}${parts[1]}` : entry.name,
    entry,
    count: layers.length,
  }));
}

/** 0,1,2,5 → `0…2,5`. */
function ranges(layers: readonly number[]): string {
  const sorted = [...new Set(layers)].sort((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const layer of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === layer - 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}…${to}`)).join(',');
}
