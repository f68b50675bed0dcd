import type { ModelBlock } from '@circuitscope/schema';

/** Blocks in a row that are alike, drawn once. */
export interface BlockGroup {
  readonly first: number;
  readonly last: number;
  readonly block: ModelBlock;
}

/** Which part was chosen: of the blocks `first` to `last`, or of the model. */
export interface PartChoice {
  readonly part: 'embedding' | 'attention' | 'mlp' | 'norm' | 'unembedding';
  readonly first?: number;
  readonly last?: number;
}

export function groupBlocks(blocks: readonly ModelBlock[]): readonly BlockGroup[] {
  const groups: BlockGroup[] = [];
  for (const [at, block] of blocks.entries()) {
    const before = groups.at(-1);
    if (before && JSON.stringify(before.block) === JSON.stringify(block))
      groups[groups.length - 1] = { ...before, last: at };
    else groups.push({ first: at, last: at, block });
  }
  return groups;
}

/** What attention is, in words; sharing of keys and values said as it is. */
export function attentionWords({ heads, kvHeads, headWidth, window }: NonNullable<ModelBlock['attention']>): string {
  const shared =
    kvHeads === heads
      ? ''
      : kvHeads === 1
        ? ', all sharing one key and value'
        : `, ${heads / kvHeads} to each of ${kvHeads} keys and values`;
  const near = window === undefined ? '' : `, the last ${window} keys`;
  return `${heads} ${heads === 1 ? 'head' : 'heads'} of ${headWidth}${shared}${near}`;
}
