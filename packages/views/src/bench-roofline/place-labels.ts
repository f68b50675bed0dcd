// Names beside their points, none over another and none over a point. Each looks for the nearest free place around its point,
// the ones that stand alone at the edges last, so that crowded middles are served first.

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Wanted {
  readonly text: string;
  readonly x: number;
  readonly y: number;
}

export interface Label extends Wanted {
  /** Where the text begins, on its base line. */
  readonly textX: number;
  readonly textY: number;
  /** Whether it stands so far off that a line must lead to it. */
  readonly isLed: boolean;
}

export interface LabelRoom {
  readonly frame: Box;
  readonly obstacles: readonly Box[];
  /** Of the letters, in pixels. */
  readonly size: number;
}

/** Width of a letter over its height, in the sans serifs that are used: rather too wide than too narrow. */
const LETTER = 0.56;
const RADII = [9, 18, 30, 44, 60, 80, 104];
const DIRECTIONS = 16;
const NEAR = 20;

const overlap = (a: Box, b: Box): number =>
  Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)) *
  Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));

const isInside = (box: Box, frame: Box): boolean =>
  box.x >= frame.x &&
  box.y >= frame.y &&
  box.x + box.width <= frame.x + frame.width &&
  box.y + box.height <= frame.y + frame.height;

export const textWidth = (text: string, size: number): number => text.length * size * LETTER;

export function placeLabels(wanted: readonly Wanted[], { frame, obstacles, size }: LabelRoom): readonly Label[] {
  const taken: Box[] = [...obstacles];
  const crowd = (one: Wanted): number =>
    wanted.filter((other) => Math.hypot(other.x - one.x, (other.y - one.y) * 3) < 120).length;
  const order = wanted
    .map((one, at) => ({ one, at, crowd: crowd(one) }))
    .sort((a, b) => b.crowd - a.crowd || a.at - b.at);
  const placed = new Map<number, Label>();
  for (const { one, at } of order) {
    const [width, height] = [textWidth(one.text, size), size * 1.15];
    let best: { readonly box: Box; readonly cost: number; readonly radius: number } | undefined;
    for (const radius of RADII) {
      for (let step = 0; step < DIRECTIONS; step++) {
        // From the right, then turning both ways by turns.
        const turn = ((step % 2 === 0 ? 1 : -1) * Math.ceil(step / 2) * 2 * Math.PI) / DIRECTIONS;
        const [cx, cy] = [one.x + Math.cos(turn) * radius, one.y - Math.sin(turn) * radius];
        const side = Math.cos(turn);
        // Right of the point the text begins there, left of it it ends there, above and below it stands in the middle.
        const x = side > 0.3 ? cx : side < -0.3 ? cx - width : cx - width / 2;
        const box = { x, y: cy - height / 2, width, height };
        if (!isInside(box, frame)) continue;
        const covered = taken.reduce((sum, other) => sum + overlap(box, other), 0);
        const cost = covered * 100 + radius + step * 0.2;
        if (!best || cost < best.cost) best = { box, cost, radius };
      }
    }
    if (!best) continue;
    const { box, radius } = best;
    taken.push(box);
    placed.set(at, { ...one, textX: box.x, textY: box.y + height * 0.78, isLed: radius > NEAR });
  }
  return wanted.flatMap((_, at) => placed.get(at) ?? []);
}
