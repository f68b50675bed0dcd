// One row of a layered drawing: every item would like to stand somewhere, and neighbours must keep a distance. The
// weighted least-squares answer is isotonic regression of (wish - cumulated distance), which pooling adjacent
// violators solves exactly in one pass (Barlow et al., Statistical Inference under Order Restrictions, 1972).

export interface RowItem {
  readonly wish: number;
  readonly weight: number;
  readonly width: number;
}

/** Centres `[item]`, in the given order, at least `(width_i + width_{i+1}) / 2 + separation` apart. */
export function placeRow(items: readonly RowItem[], separation: number): readonly number[] {
  const offsets: number[] = [];
  let offset = 0;
  items.forEach((item, i) => {
    if (i > 0) offset += (items[i - 1]!.width + item.width) / 2 + separation;
    offsets.push(offset);
  });
  const blocks: { mean: number; weight: number; count: number }[] = [];
  items.forEach((item, i) => {
    let block = { mean: item.wish - offsets[i]!, weight: item.weight, count: 1 };
    for (let last = blocks.at(-1); last && last.mean > block.mean; last = blocks.at(-1)) {
      blocks.pop();
      const weight = last.weight + block.weight;
      block = {
        mean: (last.mean * last.weight + block.mean * block.weight) / weight,
        weight,
        count: last.count + block.count,
      };
    }
    blocks.push(block);
  });
  return blocks
    .flatMap((block) => Array.from({ length: block.count }, () => block.mean))
    .map((mean, i) => mean + offsets[i]!);
}
