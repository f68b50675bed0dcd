import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Site } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { type GraphNode, GraphRewrite, isSquare, unknownSite } from '../graph/index.ts';
import type { Weight } from '../plan/index.ts';
import { paramsOf } from './add-dictionary.ts';
import { rebuildGraph } from './rebuild-graph.ts';

/**
 * What becomes of the part that a dictionary does not reconstruct. `keep`: it stays, so unchanged latents change nothing, to
 * the bit. `drop`: the model goes on with the reconstruction alone.
 */
export type SpliceError = 'keep' | 'drop';

/** Names of the values of a spliced dictionary, after the site that it writes: SAELens's, and those that ours adds. */
export const spliceSites = {
  input: 'hook_sae_input',
  target: 'hook_sae_target',
  pre: 'hook_sae_acts_pre',
  latents: 'hook_sae_acts_post',
  reconstruction: 'hook_sae_recons',
  error: 'hook_sae_error',
  change: 'hook_sae_change',
  errorChange: 'hook_sae_error_change',
} as const;

/** A model that is being rewritten, and the weights that its new nodes need. */
export interface Surgery {
  readonly model: Model;
  readonly rewrite: GraphRewrite;
  readonly weights: Map<string, Weight>;
}

export function beginSurgery(model: Model): Surgery {
  return { model, rewrite: new GraphRewrite(model.graph), weights: new Map() };
}

/** The value that a dictionary reads. @throws CircuitscopeError `unknown_site`, `bad_splice` */
export function nodeToRead({ rewrite, model }: Surgery, site: Site): GraphNode {
  const node = rewrite.find(site);
  if (!node) throw unknownSite(model.graph, site);
  if (isSquare(node))
    throw badSplice(site, 'it holds a number for each pair of positions, not a vector for each position');
  if (node.dtype !== 'f32' || node.shape.length < 3)
    throw badSplice(site, 'it does not hold a vector at each position');
  return node;
}

/** The value that a dictionary changes. @throws CircuitscopeError `unknown_site`, `bad_splice` */
export function nodeToWrite(surgery: Surgery, site: Site): GraphNode {
  const { rewrite } = surgery;
  const node = nodeToRead(surgery, site);
  if (node.id === rewrite.source.output) throw badSplice(site, 'nothing reads the output; take a site before it');
  if (/\.hook_sae_/.test(site)) throw badSplice(site, 'it belongs to a dictionary');
  if (node.sites.some((name) => rewrite.find(`${name}.${spliceSites.latents}`)))
    throw badSplice(site, 'one is spliced in there already; each site takes one');
  return node;
}

function badSplice(site: Site, why: string): CircuitscopeError {
  return new CircuitscopeError('bad_splice', `A dictionary cannot be spliced in at ${site}: ${why}.`, { at: site });
}

/** Checks what a dictionary reads or writes against a value. @throws CircuitscopeError `shape_mismatch` */
export function checkWidth(node: GraphNode, site: Site, width: number, heads: boolean, name: string): void {
  const inner = node.shape.slice(2);
  const got = inner.reduce<number>((product, size) => product * Number(size), 1);
  if (got === width && heads === inner.length > 1) return;
  const has = inner.length > 1 ? `${inner[0]} heads of ${inner[1]}` : `vectors of ${got}`;
  const wants = heads ? `${width} numbers in heads (hook_z)` : `vectors of ${width}`;
  throw new CircuitscopeError(
    'shape_mismatch',
    `${site} holds ${has}, but the dictionary ${name} is made for ${wants}; choose another site or dictionary.`,
    { at: site, expected: String(width), got: String(got) },
  );
}

/** Adds a site after every name of the value that was there. */
export function nameAfter({ rewrite }: Surgery, names: readonly Site[], id: number, suffix: string): void {
  rewrite.replaceNode(id, { sites: [...rewrite.node(id).sites, ...names.map((name) => `${name}.${suffix}`)] });
}

/**
 * Puts `replacement` in the place of a value: it takes its names, and everything that was there before the splice and read
 * the value reads it from now on.
 * @param before the first id of the nodes that the splice added
 */
export function replaceValue({ rewrite }: Surgery, target: GraphNode, replacement: number, before: number): void {
  rewrite.replaceNode(replacement, { sites: [...rewrite.node(replacement).sites, ...target.sites] });
  const own = rewrite.node(target.id).sites.filter((site) => !target.sites.includes(site));
  rewrite.replaceNode(target.id, { sites: own });
  rewrite.redirect(target.id, replacement, (reader) => reader.id < before);
}

/** x·−1, for sums that must give x back: x + (−0) is x to the bit, where x + 0 would make +0 of −0. */
export function negative({ rewrite }: Surgery, id: number): number {
  return rewrite.add('scale', [id], { attrs: { factor: -1 } });
}

/** A dictionary must not read what depends on the value that it writes. @throws CircuitscopeError `bad_splice` */
export function checkOrder(
  { rewrite }: Surgery,
  reads: GraphNode,
  writes: GraphNode,
  names: { reads: Site; writes: Site },
): void {
  if (reads.id === writes.id || !rewrite.order([reads.id]).includes(writes.id)) return;
  throw new CircuitscopeError(
    'bad_splice',
    `A transcoder cannot read ${names.reads} and write ${names.writes}: what it reads is computed from what it writes.`,
    { at: names.reads, expected: `a site before ${names.writes}`, got: names.reads },
  );
}

/** Weights under a name of their own in the model. Two dictionaries may have one name, in two models that share a store. */
export function takeWeights(surgery: Surgery, used: ReadonlyMap<string, Weight>, dictionary: object): void {
  for (const [name, weight] of versionedWeights(used, dictionary)) surgery.weights.set(name, weight);
}

export function versionedWeights(used: ReadonlyMap<string, Weight>, dictionary: object): Map<string, Weight> {
  const serial = serialOf(dictionary);
  return new Map(
    [...used].map(([name, weight]) => {
      const version = (): number => serial * VERSIONS + (weight.version?.() ?? 0);
      return [name, { ...weight, name, version }];
    }),
  );
}

/** Executors look a weight up by its name, and read it anew where its version differs. */
const VERSIONS = 2 ** 28;
const serials = new WeakMap<object, number>();
let dictionaries = 0;

function serialOf(dictionary: object): number {
  const serial = serials.get(dictionary) ?? ++dictionaries;
  serials.set(dictionary, serial);
  return serial;
}

/** The rewritten model. Its content hash says what was spliced in, where and how. */
export function finishSurgery(
  surgery: Surgery,
  spliced: { readonly what: object; readonly parameters: number; contentHash(): Promise<Hash> },
): Model {
  const { model, rewrite, weights } = surgery;
  const graph = rebuildGraph(rewrite, paramsOf(weights));
  const contentHash = async (): Promise<Hash> => {
    const parts = [
      await model.checkpoint.contentHash(),
      await spliced.contentHash(),
      canonicalJson({ ...spliced.what }),
    ];
    return `sha256:${createHash('sha256').update(parts.join('\n')).digest('hex')}`;
  };
  return {
    ...model,
    graph,
    weights: new Map([...model.weights, ...weights]),
    parameters: model.parameters + spliced.parameters,
    checkpoint: { ...model.checkpoint, contentHash },
  };
}

export function countEntries(weights: Iterable<Weight>): number {
  let count = 0;
  for (const { shape } of weights) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
