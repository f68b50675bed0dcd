import { CircuitscopeError, canonicalJson, type GradientTarget, type Readout, type Site } from '@circuitscope/schema';
import { differentiate, type GraphNode, type GraphRewrite, traceRead } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { addReadout } from './add-readouts.ts';
import { alongEdges, type WritesOf } from './along-edges.ts';
import { requireSite } from './apply-interventions.ts';
import { type BindContext, type ExternalInput, positionSizes, rowsOf } from './bind.ts';
import { boundShape } from './program.ts';
import { boundLayout, checkScope, layoutOf, scopeMasks } from './site-layout.ts';
import { artefact } from './values.ts';

// Gradients of a plan: each target gets a seed, a cotangent that enters where its number is made; then one backward for
// all of them. Rows are [target, variant, example].

export type GradientReadout = Extract<Readout, { kind: 'gradient' }>;

export interface GradientNodes {
  /** Node of each gradient readout, by its index in the plan. */
  readonly nodes: ReadonlyMap<number, number>;
  readonly externals: readonly ExternalInput[];
  readonly targets: number;
  /** The first id of the backward. */
  readonly from: number;
}

export interface GradientRequest {
  readonly readouts: readonly Readout[];
  readonly detached: readonly Site[];
  readonly renamedParams: ReadonlyMap<string, string>;
  /** Keep only the stream between blocks, and compute the rest of a block again on the way back. */
  readonly checkpoint: boolean;
}

export function addGradients(rewrite: GraphRewrite, request: GradientRequest): GradientNodes | undefined {
  const asked = request.readouts.flatMap((readout, index) => (readout.kind === 'gradient' ? [{ index, readout }] : []));
  const [first] = asked;
  const frozen = new Set(request.detached.map((site) => requireSite(rewrite, site).id));
  if (!first) {
    const [site] = request.detached;
    if (site === undefined) return undefined;
    throw new CircuitscopeError(
      'never_fires',
      `Detaching ${site} changes no value, and this plan reads no gradient; read one, or leave it out.`,
      { at: site },
    );
  }
  const targets = oneList(asked.map(({ readout }) => readout));
  const wanted = asked.map(({ index, readout }) => ({ index, want: wantedNode(rewrite, request, readout) }));
  const looked = [
    ...request.detached,
    ...asked.flatMap(({ readout: { wrt } }) => (wrt.kind === 'param' ? [] : [wrt.at.site])),
  ];
  const finalNorm = rewrite.find('logits')
    ? traceRead(rewrite, rewrite.source, { kind: 'logits', port: 'in' }).chain
    : [];
  const seeds = addSeeds(
    rewrite,
    targets,
    looked.some((site) => finalNorm.includes(requireSite(rewrite, site).id)),
  );
  const shapes = new Map(rewrite.source.params.map(({ name, shape }) => [name, shape]));
  const original = new Map([...request.renamedParams].map(([name, renamed]) => [renamed, name]));
  const gradients = differentiate(rewrite, {
    seeds: seeds.nodes,
    nodes: new Set(wanted.flatMap(({ want }) => (want.kind === 'site' ? [want.node] : []))),
    params: new Set(wanted.flatMap(({ want }) => (want.kind === 'param' ? [want.name] : []))),
    frozen,
    paramShape: (name) => shapes.get(original.get(name) ?? name) ?? [],
    ...(request.checkpoint ? { keep: isBoundary } : {}),
  });
  const nodes = new Map<number, number>();
  const written: WritesOf = new Map();
  for (const { index, want } of wanted) {
    const found = want.kind === 'site' ? gradients.nodes.get(want.node) : gradients.params.get(want.name);
    if (found === undefined) throw independent(want.label);
    nodes.set(index, found);
  }
  const externals = [...seeds.externals];
  for (const { index, readout } of asked) {
    const gradient = nodes.get(index);
    if (readout.wrt.kind !== 'edges' || gradient === undefined) continue;
    const along = alongEdges(rewrite, gradient, readout.wrt, written);
    nodes.set(index, along.node);
    externals.push(...along.externals);
  }
  return { nodes, externals, targets: targets.length, from: gradients.from };
}

/** The stream between blocks: what a checkpointed backward keeps. */
export function isBoundary({ sites }: GraphNode): boolean {
  return sites.some((site) => /^hook_(pos_)?embed$|hook_resid_(pre|post)$/.test(site));
}

function oneList(readouts: readonly GradientReadout[]): readonly GradientTarget[] {
  const [first, ...rest] = readouts;
  const same = canonicalJson(first?.of ?? []);
  if (rest.every(({ of }) => canonicalJson(of) === same)) return first?.of ?? [];
  throw new CircuitscopeError(
    'unsupported',
    'The gradients of one plan share one backward, so they have the same list of targets; give every target to each, or use two plans.',
  );
}

type Wanted =
  | { readonly kind: 'site'; readonly node: number; readonly label: string }
  | { readonly kind: 'param'; readonly name: string; readonly label: string };

function wantedNode(rewrite: GraphRewrite, { renamedParams }: GradientRequest, { wrt }: GradientReadout): Wanted {
  if (wrt.kind !== 'param') {
    const node = requireSite(rewrite, wrt.at.site);
    checkScope(layoutOf(rewrite.root(node.id), wrt.at.site), wrt.at);
    return { kind: 'site', node: node.id, label: wrt.at.site };
  }
  if (!rewrite.source.params.some(({ name }) => name === wrt.name)) {
    throw new CircuitscopeError('unknown_param', `This model has no weight ${wrt.name}; \`model sites\` lists them.`, {
      at: wrt.name,
      got: wrt.name,
    });
  }
  return { kind: 'param', name: renamedParams.get(wrt.name) ?? wrt.name, label: wrt.name };
}

interface Seed {
  readonly node: number;
  /** Writes the cotangent of one row [node's shape without rows]. */
  readonly write: (data: Floats, example: number, row: number, context: BindContext) => void;
}

/** One external per node at which targets enter; the rows of other targets are zero there. */
function addSeeds(rewrite: GraphRewrite, targets: readonly GradientTarget[], throughNorm: boolean) {
  const externals: ExternalInput[] = [];
  const byNode = new Map<number, { readonly target: number; readonly seed: Seed }[]>();
  targets.forEach((target, index) => {
    const { seed, needs } = addTarget(rewrite, target, throughNorm);
    externals.push(...needs);
    byNode.set(seed.node, [...(byNode.get(seed.node) ?? []), { target: index, seed }]);
  });
  const nodes = new Map<number, number[]>();
  for (const [id, entries] of byNode) {
    const inner = rewrite.node(id).shape.slice(1);
    const external = rewrite.external(`seed:${id}`, ['cotangents', ...inner]);
    const sizeOf = (context: BindContext): number =>
      boundShape(inner, positionSizes(context)).reduce((product, size) => product * size, 1);
    externals.push({
      node: external,
      make: (context) => {
        const rows = rowsOf(context, 'rows');
        const size = sizeOf(context);
        const data = new Float64Array(targets.length * rows.length * size);
        for (const { target, seed } of entries) {
          rows.forEach(({ example }, row) => {
            const at = (target * rows.length + row) * size;
            seed.write(data.subarray(at, at + size), example, row, context);
          });
        }
        return data;
      },
    });
    nodes.set(id, [external]);
  }
  return { nodes, externals };
}

function addTarget(
  rewrite: GraphRewrite,
  target: GradientTarget,
  throughNorm: boolean,
): { seed: Seed; needs: readonly ExternalInput[] } {
  switch (target.kind) {
    case 'logitDiff': {
      const { at, answer, wrong, reduce } = target;
      const { nodes, externals } = addReadout(rewrite, { kind: 'logitDiff', at, answer, wrong }, throughNorm);
      const write: Seed['write'] = (data, _example, _row, { batch }) => {
        const part = reduce === 'mean' ? 1 / batch : 1;
        for (let i = 0; i < data.length; i += 2) {
          data[i] = part;
          data[i + 1] = -part;
        }
      };
      return { seed: { node: nodes[0] ?? -1, write }, needs: externals };
    }
    case 'loss': {
      const { nodes, externals } = addReadout(rewrite, { kind: 'loss', ...(target.at ? { at: target.at } : {}) });
      const ids = externals[0];
      const counts = new WeakMap<BindContext, { readonly ids: Floats | Int32Array; readonly count: number }>();
      const write: Seed['write'] = (data, _example, row, context) => {
        let known = counts.get(context);
        if (!known && ids) {
          const made = ids.make(context);
          let counted = 0;
          for (const id of made) if (id >= 0) counted++;
          known = { ids: made, count: counted / context.variants.length };
          counts.set(context, known);
        }
        if (!known) return;
        const part = target.reduce === 'mean' ? 1 / Math.max(known.count, 1) : 1;
        for (let i = 0; i < data.length; i++) data[i] = (known.ids[row * context.pos + i] ?? -1) >= 0 ? part : 0;
      };
      return { seed: { node: nodes[0] ?? -1, write }, needs: externals };
    }
    case 'site': {
      const { site } = target.at;
      const node = requireSite(rewrite, site);
      const layout = layoutOf(rewrite.root(node.id), site);
      checkScope(layout, target.at);
      const masks = scopeMasks(layout, [target.at], 'batch');
      const write: Seed['write'] = (data, example, _row, context) => {
        const { dims } = boundLayout(layout, context);
        const alone = { ...context, variants: [0] };
        const [a, b, c] = masks.map((mask, axis) => {
          const size = dims[axis] ?? 1;
          return mask?.make(alone).slice(example * size, (example + 1) * size) ?? new Float32Array(size).fill(1);
        });
        const direction =
          target.direction === undefined ? undefined : directionOf(target.direction, dims[2], site, context);
        let at = 0;
        for (const x of a ?? [])
          for (const y of b ?? [])
            for (const [unit, z] of (c ?? []).entries()) data[at++] = x * y * z * (direction?.[unit] ?? 1);
      };
      return { seed: { node: node.id, write }, needs: [] };
    }
  }
}

function directionOf(hash: Parameters<typeof artefact>[0], width: number, site: Site, context: BindContext): Floats {
  const { data } = artefact(hash, context);
  if (data.length === width) return data;
  throw new CircuitscopeError(
    'bad_shape',
    `The direction of the gradient's target at ${site} has ${data.length} entries; the site is ${width} wide.`,
    { at: site, expected: String(width), got: String(data.length) },
  );
}

function independent(label: string): CircuitscopeError {
  return new CircuitscopeError(
    'no_gradient',
    `None of the targets depends on ${label}, or only through what is detached; it has no gradient.`,
    { at: label },
  );
}
