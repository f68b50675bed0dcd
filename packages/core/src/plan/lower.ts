import type { Attributes, Dim, GraphNode, GraphRewrite } from '../graph/index.ts';
import { assignSlots } from './assign-slots.ts';
import type { Program, Step } from './program.ts';

// From nodes to steps. What differs between variants runs once per variant and example ('rows'), cotangents once per
// target, variant and example ('cotangents'), the rest once per example ('batch'); values are repeated where two meet.
// Norms and attention whose inner values nobody changes become one step; it gives the inner values out on request, with
// the same bits. The way back through an attention is one step too. A product takes along what is made of it alone: its
// activation, or the sum that adds it to one other value. A dictionary whose latents are only looked at for the active ones
// never holds them all.

export interface LoweredInput {
  readonly name: string;
  /** The graph input or external that the call makes; tiled where readers have more rows than it. */
  readonly node: number;
  readonly tile: Level | null;
}

/** How many rows a value has: see the top of this file. */
export type Level = 'batch' | 'rows' | 'cotangents';

const levels: readonly Level[] = ['batch', 'rows', 'cotangents'];

export interface LowerOptions {
  readonly variants: number;
  /** How many targets the gradients of this program have. */
  readonly targets?: number;
  /** The first id of the backward; its nodes run in the order of their ids, which frees values soonest. */
  readonly gradientsFrom?: number;
}

export interface Lowered {
  readonly program: Program;
  readonly inputs: readonly LoweredInput[];
}

/** Attributes that kernels read; the others only serve shapes. */
const kernelAttributes: { readonly [op: string]: readonly string[] } = {
  embed: ['transposed'],
  norm_scale: ['kind', 'eps'],
  normalize: ['kind'],
  head_result: ['head'],
  rotary: ['layout', 'dims', 'inverse'],
  rotate: ['layout', 'inverse'],
  scores: ['scale', 'causal', 'window'],
  soft_cap: ['cap'],
  soft_cap_grad: ['cap'],
  activation: ['fn'],
  top_k: ['k'],
  active_top_k: ['k'],
  active_csr: ['batchTopK'],
  vocab_statistics: ['k', 'cap'],
  edit: ['op', 'dims', 'valueShape', 'constant'],
  direction: ['op', 'dims', 'perRow'],
  edge_read: ['heads'],
  linear: ['transposed', 'alpha', 'beta', 'fn'],
  head_linear: ['transposed'],
  top_k_mask: ['k'],
  choices: ['k'],
  add_gated: ['expert'],
  gate_grad: ['expert', 'experts'],
  scale: ['factor'],
  activation_grad: ['fn'],
  normalize_grad: ['kind'],
  normalize_grad_scale: ['kind'],
  norm_scale_grad: ['kind'],
  norm_grad: ['kind'],
  head_result_grad: ['head'],
  head_result_grad_weight: ['head'],
  embed_grad: ['transposed'],
  edge_read_grad: ['heads', 'delta'],
  conv2d: ['stride', 'padding', 'dilation', 'groups'],
  conv2d_grad_input: ['stride', 'padding', 'dilation', 'groups'],
  conv2d_grad_weight: ['stride', 'padding', 'dilation', 'groups'],
  max_pool2d: ['window', 'stride', 'padding', 'dilation', 'ceil'],
  max_pool2d_grad: ['window', 'stride', 'padding', 'dilation', 'ceil'],
  slice_channels: ['first'],
  clip: ['low', 'high'],
  clip_grad: ['low', 'high'],
  avg_pool2d: ['window', 'stride', 'padding', 'ceil', 'countPadding'],
  avg_pool2d_grad: ['window', 'stride', 'padding', 'ceil', 'countPadding'],
};

/** What else an operation makes, whole numbers all, after the value that its node stands for. */
const beside: {
  readonly [op: string]: readonly {
    readonly name: string;
    readonly shape: (own: readonly Dim[], attrs: Attributes) => readonly Dim[];
  }[];
} = {
  top_k: [{ name: 'indices', shape: (own) => own }],
  active_top_k: [
    { name: 'indices', shape: (own) => own },
    { name: 'count', shape: (own) => own.slice(0, -1) },
  ],
  active_csr: [
    { name: 'indices', shape: (own) => own },
    { name: 'rowStart', shape: (_, attrs) => [String(attrs.rowStarts)] },
  ],
};

/** Inputs that may have fewer rows than the step: copying them for every variant or target would dwarf the arena. */
const sharedRows: { readonly [op: string]: (of: GraphNode, at: number) => boolean } = {
  edge_read: (of, at) => of.in.length > 1 && at < of.in.length - 1,
  // The reference is the same for every variant.
  vocab_statistics: (_, at) => at === 2,
  pair_dots: (_, at) => at > 0,
  linear_grad_weight: () => true,
  head_linear_grad_weight: () => true,
  head_result_grad_weight: () => true,
  conv2d_grad_weight: () => true,
};

export function lower(
  rewrite: GraphRewrite,
  outputs: readonly { readonly name: string; readonly node: number }[],
  options: LowerOptions,
): Lowered {
  const order = scheduled(rewrite, outputs, options.gradientsFrom);
  const nodes = new Map(order.map((id) => [id, rewrite.node(id)]));
  const node = (id: number): GraphNode => nodes.get(id) ?? rewrite.node(id);
  const levelOf = findLevels(order, node, options);
  const wanted = new Set(outputs.map((output) => output.node));
  const fused = findFused(order, node, wanted, levelOf);

  const values: { shape: readonly Dim[]; dtype: 'f32' | 'i32' }[] = [];
  const steps: Step[] = [];
  const inputs: (LoweredInput & { readonly value: number })[] = [];
  const params: string[] = [];
  const valueOfNode = new Map<number, number>();
  const repeated = new Map<string, number>();

  const newValue = (shape: readonly Dim[], dtype: 'f32' | 'i32'): number => values.push({ shape, dtype }) - 1;
  const shapeFor = (of: GraphNode): readonly Dim[] => (hasRows(of) ? [levelOf(of.id), ...of.shape.slice(1)] : of.shape);
  const paramIndex = (name: string | null): number => {
    if (name === null) return -1;
    const known = params.indexOf(name);
    return known >= 0 ? known : params.push(name) - 1;
  };
  const isSource = (of: GraphNode): boolean => of.op === 'input' || of.op === 'external';
  const source = (of: GraphNode, tile: Level | null): number => {
    const value = newValue(tile ? [tile, ...of.shape.slice(1)] : shapeFor(of), of.dtype);
    const label = of.op === 'input' ? String(of.attrs.name) : `x${inputs.length}`;
    inputs.push({ name: tile ? `${label}@${tile}` : label, node: of.id, tile, value });
    return value;
  };
  /** The value of an input as its reader needs it: with as many rows as the reader has. */
  const operand = (id: number, level: Level): number => {
    if (id < 0) return -1;
    const of = node(id);
    if (!hasRows(of) || levels.indexOf(levelOf(id)) >= levels.indexOf(level)) {
      let value = valueOfNode.get(id);
      if (value === undefined && isSource(of)) {
        value = source(of, null);
        valueOfNode.set(id, value);
      }
      return value ?? -1;
    }
    const key = `${id} ${level}`;
    let value = repeated.get(key);
    if (value === undefined) {
      if (isSource(of)) value = source(of, level);
      else {
        const from = operand(id, 'batch');
        value = newValue([level, ...of.shape.slice(1)], of.dtype);
        steps.push({ kernel: 'repeat', in: [from], out: [value], params: [], attrs: {} });
      }
      repeated.set(key, value);
    }
    return value;
  };

  /** Values beside the one that a node stands for. */
  const others = (of: GraphNode): number[] =>
    (beside[of.op] ?? []).map(({ shape }) => newValue(shape(shapeFor(of), of.attrs), 'i32'));

  for (const id of order) {
    const of = node(id);
    const group = fused.steps.get(id);
    if (isSource(of) || (fused.inner.has(id) && !group)) continue;
    const level = levelOf(id);
    if (group) {
      const operands = group.in.map((input) => operand(input, level));
      const out = group.out.map((inner) => {
        if (inner.needed === false) return -1;
        const value = newValue(shapeFor(node(inner.node)), 'f32');
        valueOfNode.set(inner.node, value);
        return value;
      });
      out.push(...others(of));
      steps.push({
        kernel: group.kernel,
        in: operands,
        out,
        params: group.params.map(paramIndex),
        attrs: group.attrs,
      });
      continue;
    }
    const operands = of.in.map((input, at) => operand(input, sharedRows[of.op]?.(of, at) ? 'batch' : level));
    // A read without edges has no mask.
    if (of.op === 'edge_read' && operands.length === 1) operands.push(-1);
    const result = newValue(shapeFor(of), of.dtype);
    valueOfNode.set(id, result);
    const out = of.op === 'vocab_statistics' ? [result, -1, -1] : [result, ...others(of)];
    steps.push({
      kernel: of.op,
      in: operands,
      out,
      params: of.params.map(paramIndex),
      attrs: pick(of.attrs, kernelAttributes[of.op] ?? []),
    });
  }

  const named = outputs.flatMap(({ name, node: id }) => {
    const value = operand(id, 'batch');
    const more = beside[node(id).op] ?? [];
    const step = more.length > 0 ? steps.find(({ out }) => out[0] === value) : undefined;
    return [
      { name, value },
      ...more.map((other, at) => ({ name: `${name}.${other.name}`, value: step?.out[at + 1] ?? -1 })),
    ];
  });
  return { program: assignSlots({ values, steps, inputs, params, outputs: named }), inputs };
}

/** Forward nodes as their readers need them, then those of the backward by id. */
function scheduled(
  rewrite: GraphRewrite,
  outputs: readonly { readonly node: number }[],
  gradientsFrom = Number.POSITIVE_INFINITY,
): readonly number[] {
  const roots = outputs.map(({ node }) => node);
  const all = rewrite.order(roots);
  const backward = all.filter((id) => id >= gradientsFrom);
  if (backward.length === 0) return all;
  const forward = roots.filter((id) => id < gradientsFrom);
  return rewrite.order([...forward, ...backward.sort((a, b) => a - b)]);
}

function hasRows(of: GraphNode): boolean {
  const leading = of.shape[0];
  return leading === 'batch' || leading === 'rows' || leading === 'cotangents';
}

function pick(attrs: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attrs).filter(([name]) => names.includes(name)));
}

/** With one variant nothing varies; with one target cotangents have the rows of their variants. */
function findLevels(
  order: readonly number[],
  node: (id: number) => GraphNode,
  { variants, targets = 1 }: LowerOptions,
): (id: number) => Level {
  const found = new Map<number, number>();
  const own = (of: GraphNode): number => {
    if ((of.shape[0] === 'cotangents' || of.shape[0] === 'groups') && targets > 1) return 2;
    const perVariant = of.shape[0] === 'rows' || of.shape[0] === 'cotangents' || of.shape[0] === 'groups';
    return perVariant && variants > 1 ? 1 : 0;
  };
  for (const id of order) {
    const of = node(id);
    found.set(id, Math.max(own(of), ...of.in.map((input) => (input < 0 ? 0 : (found.get(input) ?? 0)))));
  }
  return (id) => levels[found.get(id) ?? own(node(id))] ?? 'batch';
}

interface FusedStep {
  readonly kernel: 'norm' | 'attention' | 'attention_grad' | 'linear' | 'bias_act_top_k' | 'project_csr' | 'expert';
  readonly in: readonly number[];
  readonly params: readonly (string | null)[];
  readonly attrs: Attributes;
  /** The nodes that the step's outputs are; those that nobody reads are not made. */
  readonly out: readonly { readonly node: number; readonly needed: boolean }[];
}

function findFused(
  order: readonly number[],
  node: (id: number) => GraphNode,
  wanted: ReadonlySet<number>,
  levelOf: (id: number) => Level,
) {
  const readers = new Map<number, number[]>();
  const place = new Map(order.map((id, at) => [id, at]));
  for (const id of order) {
    for (const input of node(id).in) {
      if (input < 0) continue;
      const known = readers.get(input);
      if (known) known.push(id);
      else readers.set(input, [id]);
    }
  }
  const readersOf = (id: number): readonly number[] => readers.get(id) ?? [];
  /** Whether an inner value has no reader before the step that makes it. */
  const fits = (id: number, last: number, within: readonly number[]): boolean =>
    readersOf(id).every((reader) => within.includes(reader) || (place.get(reader) ?? 0) > (place.get(last) ?? 0));
  const part = (id: number, within: readonly number[]) => ({
    node: id,
    needed: wanted.has(id) || readersOf(id).some((reader) => !within.includes(reader)),
  });
  const steps = new Map<number, FusedStep>();
  const inner = new Set<number>();
  // Ways back first: what they compute anew has no reader left there.
  for (const id of order) {
    const last = node(id);
    if (last.op !== 'softmax_grad') continue;
    const back = attentionGrad(last, node, readersOf, wanted);
    if (!back) continue;
    // It runs where the first of its results is due, so all that it reads must be there by then.
    const results = back.step.out.flatMap((part) => (part.needed ? [place.get(part.node) ?? 0] : []));
    const first = Math.min(...results);
    const at = order[first];
    if (at === undefined || back.step.in.some((input) => (place.get(input) ?? 0) > first)) continue;
    steps.set(at, back.step);
    for (const member of back.all) inner.add(member);
  }
  for (const [id, list] of readers) {
    readers.set(
      id,
      list.filter((reader) => !inner.has(reader)),
    );
  }
  for (const [at, step] of steps) for (const input of step.in) readers.set(input, [...readersOf(input), at]);
  for (const id of order) {
    const reader = node(id);
    if (reader.op !== 'active_top_k' && reader.op !== 'active_csr') continue;
    const latents = latentsChain(reader, node);
    if (!latents) continue;
    const chain = [...latents.between, latents.product.id];
    const seen = chain.some((one, at) => {
      const next = chain[at - 1] ?? id;
      return wanted.has(one) || readersOf(one).some((other) => other !== next) || levelOf(one) !== levelOf(id);
    });
    if (seen) continue;
    const [W = null, bias = null] = latents.product.params;
    steps.set(id, {
      kernel: reader.op === 'active_csr' ? 'project_csr' : 'bias_act_top_k',
      in: [latents.product.in[0] ?? -1],
      params: [W, bias, latents.threshold],
      attrs: {
        activation: latents.threshold === null ? 'relu' : 'threshold',
        ...pick(reader.attrs, ['k', 'batchTopK']),
        ...(reader.op === 'active_top_k' ? { screen: 'auto' } : {}),
      },
      out: [{ node: id, needed: true }],
    });
    for (const one of chain) inner.add(one);
  }
  // Experts before the products in them, which would else be steps of their own.
  for (const id of order) {
    const expert = node(id).op === 'add_gated' ? expertOf(node(id), node) : undefined;
    const within = [id, ...(expert?.inner ?? [])];
    if (!expert || expert.inner.some((one) => inner.has(one) || part(one, within).needed)) continue;
    steps.set(id, expert.step);
    for (const one of expert.inner) inner.add(one);
  }
  /** A product whose value nobody sees but the node that follows it, in as many rows. */
  const productFor = (reader: GraphNode, at: number): GraphNode | undefined => {
    const id = reader.in[at] ?? -1;
    if (id < 0 || wanted.has(id) || inner.has(id) || inner.has(reader.id)) return undefined;
    const product = node(id);
    const alone = readersOf(id).length === 1 && readersOf(id)[0] === reader.id && levelOf(id) === levelOf(reader.id);
    return product.op === 'linear' && alone ? product : undefined;
  };
  for (const id of order) {
    const last = node(id);
    const middle = last.in[0] === undefined || last.in[0] < 0 ? undefined : node(last.in[0]);
    if (!middle) continue;
    if (last.op === 'mix' && middle.op === 'softmax') {
      const chain = scoresChain(middle, node);
      // A second mixture of the same pattern reads it as it is.
      if (!chain || inner.has(middle.id)) continue;
      const within = [id, middle.id, ...chain.between];
      const [read = -1, ...before] = [...chain.between, chain.scores.id];
      if (!fits(read, id, within) || !fits(middle.id, id, within)) continue;
      if (before.some((one) => part(one, within).needed)) continue;
      const [q = -1, k = -1, mask = -1] = chain.scores.in;
      steps.set(id, {
        kernel: 'attention',
        in: [q, k, last.in[1] ?? -1, mask, ...(chain.extra.some((one) => one >= 0) ? chain.extra : [])],
        params: chain.params.some((name) => name !== null) ? chain.params : [],
        attrs: chain.attrs,
        out: [{ node: id, needed: true }, part(read, within), part(middle.id, within)],
      });
      for (const one of [middle.id, read, ...before]) inner.add(one);
    } else if (last.op === 'affine' && middle.op === 'normalize') {
      const scale = node(middle.in[1] ?? -1);
      const within = [id, middle.id];
      if (scale.op !== 'norm_scale' || scale.in[0] !== middle.in[0]) continue;
      if (!fits(scale.id, id, within) || !fits(middle.id, id, within) || inner.has(middle.id)) continue;
      steps.set(id, {
        kernel: 'norm',
        in: [middle.in[0] ?? -1],
        params: last.params,
        attrs: scale.attrs,
        out: [{ node: id, needed: true }, part(scale.id, within), part(middle.id, within)],
      });
      inner.add(middle.id).add(scale.id);
    } else if (last.op === 'activation' || (last.op === 'sum' && last.in.length === 2)) {
      // a + b is b + a to the bit, so either term may be the product.
      const at = last.op === 'activation' || !productFor(last, 1) ? 0 : 1;
      const product = productFor(last, at);
      const onto = last.op === 'sum' ? (last.in[1 - at] ?? -1) : -1;
      if (!product || onto === product.id) continue;
      steps.set(id, {
        kernel: 'linear',
        in: onto < 0 ? [product.in[0] ?? -1] : [product.in[0] ?? -1, onto],
        params: product.params,
        attrs: {
          ...pick(product.attrs, ['transposed']),
          ...(last.op === 'sum' ? { beta: 1 } : { fn: last.attrs.fn ?? null }),
        },
        out: [{ node: id, needed: true }],
      });
      inner.add(product.id);
    }
  }
  return { steps, inner };
}

interface LatentsChain {
  readonly product: GraphNode;
  /** What lies between it and the reader of the latents, from its end. */
  readonly between: readonly number[];
  readonly threshold: string | null;
}

/** The latents that a node reads, if they are one product and then relu, jump_relu, or the relu of the first k. */
function latentsChain(reader: GraphNode, node: (id: number) => GraphNode): LatentsChain | undefined {
  const of = (id: number | undefined): GraphNode | undefined => (id === undefined || id < 0 ? undefined : node(id));
  const latents = of(reader.in[0]);
  const relu = latents?.op === 'activation' && latents.attrs.fn === 'relu';
  if (!latents || !(relu || latents.op === 'jump_relu')) return undefined;
  const before = of(latents.in[0]);
  // The first of the first k are those of the row; what a whole batch keeps of them is another question.
  const first = relu && before?.op === 'top_k_mask' && reader.op === 'active_top_k' ? before : undefined;
  const product = first ? of(first.in[0]) : before;
  const x = of(product?.in[0]);
  // The kernels read the last size of x alone.
  if (product?.op !== 'linear' || product.attrs.transposed === true || x?.shape.length !== product.shape.length)
    return undefined;
  if (first && Number(reader.attrs.k) > Number(first.attrs.k)) return undefined;
  return {
    product,
    between: first ? [latents.id, first.id] : [latents.id],
    threshold: latents.op === 'jump_relu' ? (latents.params[0] ?? null) : null,
  };
}

/** A gated MLP whose output is added by a gate: one step, that computes it for the tokens which are sent to it. */
function expertOf(
  added: GraphNode,
  node: (id: number) => GraphNode,
): { readonly step: FusedStep; readonly inner: readonly number[] } | undefined {
  const [before = -1, made = -1, gates = -1] = added.in;
  const product = (id: number): GraphNode | undefined => {
    const of = id < 0 ? undefined : node(id);
    return of?.op === 'linear' && of.params[1] == null && of.attrs.transposed !== true ? of : undefined;
  };
  const out = product(made);
  const hidden = out && node(out.in[0] ?? -1);
  if (hidden?.op !== 'mul') return undefined;
  const active = node(hidden.in[0] ?? -1);
  const [gate, into] = [
    active.op === 'activation' ? product(active.in[0] ?? -1) : undefined,
    product(hidden.in[1] ?? -1),
  ];
  const read = gate?.in[0];
  if (!out || !gate || !into || read === undefined || into.in[0] !== read) return undefined;
  return {
    step: {
      kernel: 'expert',
      in: [before, read, gates],
      params: [gate, into, out].map(({ params }) => params[0] ?? null),
      attrs: { expert: added.attrs.expert ?? 0, fn: active.attrs.fn ?? '' },
      out: [{ node: added.id, needed: true }],
    },
    inner: [out.id, hidden.id, active.id, gate.id, into.id],
  };
}

interface ScoresChain {
  readonly scores: GraphNode;
  /** What lies between them and the softmax, from its end. */
  readonly between: readonly number[];
  readonly cap: GraphNode | null;
  readonly attrs: Attributes;
  /** Buckets and positions of the keys. */
  readonly extra: readonly [number, number];
  readonly params: readonly [string | null, string | null];
}

/** What a softmax reads, if it was made in the order of the one step: scores, soft_cap, add_bias, add_alibi. */
function scoresChain(softmax: GraphNode, node: (id: number) => GraphNode): ScoresChain | undefined {
  let at = softmax.in[0] ?? -1;
  const between: number[] = [];
  const step = (op: GraphNode['op']): GraphNode | null => {
    const of = at < 0 ? undefined : node(at);
    if (of?.op !== op) return null;
    between.push(of.id);
    at = of.in[0] ?? -1;
    return of;
  };
  const [alibi, bias, cap] = [step('add_alibi'), step('add_bias'), step('soft_cap')];
  const scores = at < 0 ? undefined : node(at);
  if (scores?.op !== 'scores') return undefined;
  return {
    scores,
    between,
    cap,
    attrs: { ...pick(scores.attrs, ['scale', 'causal', 'window']), ...(cap?.attrs ?? {}) },
    extra: [bias?.in[1] ?? -1, alibi?.in[1] ?? -1],
    params: [bias?.params[0] ?? null, alibi?.params[0] ?? null],
  };
}

/** The nodes around a softmax's way back that make one step together, if they are just those of an attention. */
function attentionGrad(
  back: GraphNode,
  node: (id: number) => GraphNode,
  readersOf: (id: number) => readonly number[],
  wanted: ReadonlySet<number>,
): { readonly step: FusedStep; readonly all: readonly number[] } | undefined {
  const [pattern = -1, toPattern = -1] = back.in;
  const softmax = node(pattern);
  const forward = softmax.op === 'softmax' ? scoresChain(softmax, node) : undefined;
  const product = node(toPattern);
  if (
    !forward ||
    product.op !== 'scores' ||
    product.attrs.causal !== false ||
    product.attrs.scale !== 1 ||
    (product.attrs.window ?? 0) !== 0
  )
    return undefined;
  const [ct = -1, v = -1] = product.in;
  const [q = -1, k = -1] = forward.scores.in;
  if (wanted.has(toPattern) || readersOf(toPattern).length > 1) return undefined;
  const all = [toPattern, back.id];
  let toScores = back.id;
  if (forward.cap) {
    const { id } = forward.cap;
    const through = readersOf(back.id).find(
      (reader) => node(reader).op === 'soft_cap_grad' && node(reader).in[0] === id,
    );
    if (through === undefined || wanted.has(through)) return undefined;
    all.push(through);
    toScores = through;
  }
  const ends: { dq: number; dk: number } = { dq: -1, dk: -1 };
  // Others that read the scores' cotangent get it as a result.
  let needed = wanted.has(back.id);
  for (const reader of readersOf(toScores)) {
    const chain = node(reader);
    const onto =
      chain.op === 'mix' && chain.in[1] === k ? 'dq' : chain.op === 'mix_transposed' && chain.in[1] === q ? 'dk' : null;
    const [scaled] = readersOf(reader);
    const end = scaled === undefined ? undefined : node(scaled);
    const whole = onto !== null && chain.in[0] === toScores && !wanted.has(reader) && readersOf(reader).length === 1;
    if (onto && whole && end?.op === 'scale' && end.attrs.factor === forward.attrs.scale && ends[onto] < 0) {
      ends[onto] = end.id;
      all.push(chain.id, end.id);
    } else if (forward.cap) return undefined;
    else needed = true;
  }
  if (forward.cap) needed ||= readersOf(back.id).some((reader) => reader !== toScores);
  if (ends.dq < 0 && ends.dk < 0) return undefined;
  const dv = readersOf(ct).find((reader) => {
    const { op, in: inputs } = node(reader);
    return op === 'mix_transposed' && inputs[0] === pattern && inputs[1] === ct;
  });
  if (dv !== undefined) all.push(dv);
  const out = [ends.dq, ends.dk, dv ?? -1].map((id) => ({ node: id, needed: id >= 0 }));
  return {
    step: {
      kernel: 'attention_grad',
      in: [q, k, v, pattern, ct],
      params: [],
      attrs: forward.attrs,
      out: needed ? [...out, { node: back.id, needed }] : out,
    },
    all,
  };
}
