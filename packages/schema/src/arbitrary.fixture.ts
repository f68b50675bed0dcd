import fc from 'fast-check';
import type {
  GradientTarget,
  Hash,
  Intervention,
  Plan,
  Pos,
  ReaderRef,
  Readout,
  Scope,
  UnitRef,
  Value,
} from './index.ts';

// Random valid records, for properties that hold for all of them.

const natural = fc.nat({ max: 1_000_000 });
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x));
const name = fc.string({ minLength: 1, maxLength: 20 });
const naturals = fc.array(natural, { maxLength: 4 });
const positions = fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 4 });
const kind = <K extends string>(value: K) => fc.constant(value);
const rare = { requiredKeys: [] };

export const hash: fc.Arbitrary<Hash> = fc
  .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 })
  .map((digits): Hash => `sha256:${digits.join('')}`);

export const site = fc
  .tuple(natural, fc.constantFrom('hook_resid_pre', 'attn.hook_z', 'mlp.hook_post'))
  .map(([layer, hook]) => `blocks.${layer}.${hook}`);

const stack = fc.constantFrom('encoder' as const, 'decoder' as const, 'cross' as const);
const side = fc.constantFrom('encoder' as const, 'decoder' as const);

export const unit: fc.Arbitrary<UnitRef> = fc.oneof(
  fc.record({ kind: kind('input'), stack: side }),
  fc.record({ kind: kind('head'), stack, layer: natural, head: natural }),
  fc.record({ kind: kind('mlp'), stack: side, layer: natural }),
  fc.constantFrom('input', 'embed', 'pos_embed', 'logits').map((value): UnitRef => ({ kind: value })),
  fc.record({ kind: kind('head'), layer: natural, head: natural }),
  fc.record({ kind: kind('mlp'), layer: natural }),
  fc.record({ kind: kind('neuron'), layer: natural, neuron: natural }),
  fc.record({ kind: kind('bias'), layer: natural, of: fc.constantFrom('attn', 'mlp') }),
  fc.record({ kind: kind('latent'), dictionary: hash, index: natural }),
  fc.record({ kind: kind('channel'), layer: natural, channel: natural }),
  fc.record({ kind: kind('error'), site }),
);

export const reader: fc.Arbitrary<ReaderRef> = fc.oneof(
  fc.record({ kind: kind('head'), stack, layer: natural, head: natural, port: fc.constantFrom('q', 'k', 'v') }),
  fc.record({ kind: kind('mlp'), stack: side, layer: natural, port: kind('in') }),
  fc.record({ kind: kind('head'), layer: natural, head: natural, port: fc.constantFrom('q', 'k', 'v') }),
  fc.record({ kind: kind('mlp'), layer: natural, port: kind('in') }),
  fc.record({ kind: kind('logits'), port: kind('in') }),
);

const pos: fc.Arbitrary<Pos> = fc.oneof(
  fc.constantFrom('all', 'last', 'generated').map((value): Pos => ({ kind: value })),
  fc.record({ kind: fc.constantFrom('positions', 'perExample'), positions }),
  fc.record({ kind: kind('named'), name }),
);

const scope: fc.Arbitrary<Scope> = fc
  .tuple(site, fc.record({ at: pos, key: pos, head: naturals, unit: naturals }, rare))
  .map(([at, rest]) => ({ site: at, ...rest }));

const constant = fc.record({ kind: kind('const'), value: number });
const artefact = fc.record({ kind: kind('artefact'), hash });
const value: fc.Arbitrary<Value> = fc.oneof(
  constant,
  artefact,
  fc.record({ kind: kind('run'), name }),
  fc.record({ kind: kind('mean'), run: name, over: fc.constantFrom('batch', 'batch_pos') }),
  fc.record({
    kind: kind('resample'),
    run: name,
    by: fc.oneof(
      fc.record({ kind: kind('roll'), shift: fc.integer({ min: -9, max: 9 }) }),
      fc.record({ kind: kind('seed'), seed: natural }),
    ),
  }),
);

const operation = fc.constantFrom('set', 'add', 'scale');
export const intervention: fc.Arbitrary<Intervention> = fc.oneof(
  fc.record({ kind: kind('write'), at: scope, op: operation, value, coefficient: number }),
  fc.record({ kind: kind('write'), at: scope, op: operation, value }),
  fc.record({ kind: kind('direction'), at: scope, op: kind('project_out'), direction: hash }),
  fc.record({
    kind: kind('direction'),
    at: scope,
    op: fc.constantFrom('steer', 'clamp'),
    direction: hash,
    value: number,
  }),
  fc.record({ kind: kind('edge'), from: unit, to: reader, value }),
  fc.record({ kind: kind('freeze'), at: scope, value }),
  fc.record({ kind: kind('detach'), at: fc.record({ site }) }),
  fc.record({ kind: kind('weight'), param: name, head: natural, op: operation, value: fc.oneof(constant, artefact) }),
);

const reduce = fc.constantFrom('sum' as const, 'mean' as const);
const gradientTarget: fc.Arbitrary<GradientTarget> = fc.oneof(
  fc.record({ kind: kind('logitDiff'), at: pos, answer: fc.constant([3]), wrong: fc.constant([4]), reduce }),
  fc.record({ kind: kind('loss'), reduce }),
  fc.record({ kind: kind('site'), at: scope, direction: hash }),
);

const ids = fc.array(natural, { minLength: 1, maxLength: 4 });

const readout: fc.Arbitrary<Readout> = fc.oneof(
  fc.record({ kind: kind('capture'), at: scope }),
  fc.tuple(pos, fc.array(fc.tuple(natural, natural), { maxLength: 4 })).map(([at, pairs]) => ({
    kind: 'logitDiff' as const,
    at,
    answer: pairs.map((p) => p[0]),
    wrong: pairs.map((p) => p[1]),
  })),
  fc.record({ kind: kind('topK'), at: pos, k: fc.integer({ min: 1, max: 65536 }) }),
  fc.record({ kind: kind('entropy'), at: pos }),
  fc.record({ kind: kind('logProb'), at: pos, answer: ids }),
  fc.record({ kind: kind('rank'), at: pos, answer: ids }),
  fc.record({ kind: kind('kl'), at: pos, run: name }),
  fc.record({ kind: kind('loss') }),
  fc.record({ kind: kind('loss'), at: pos }),
  fc.record({ kind: kind('project'), at: scope, direction: hash }),
  fc.record({
    kind: kind('latents'),
    at: scope,
    dictionary: hash,
    keep: fc.oneof(
      fc.record({ kind: kind('topK'), k: fc.integer({ min: 1, max: 65536 }) }),
      fc.record({ kind: kind('above') }),
      fc.record({ kind: kind('above'), perToken: fc.integer({ min: 1, max: 99 }) }),
      fc.record({ kind: kind('batchTopK'), k: fc.integer({ min: 1, max: 65536 }) }),
    ),
  }),
  fc.record({
    kind: kind('gradient'),
    of: fc.array(gradientTarget, { minLength: 1, maxLength: 2 }),
    wrt: fc.oneof(
      fc.record({ kind: kind('site'), at: scope }),
      fc.record({ kind: kind('param'), name }),
      fc.record({
        kind: kind('edges'),
        at: scope,
        from: fc.array(fc.record({ site, change: hash }), { minLength: 1, maxLength: 2 }),
      }),
    ),
  }),
);

const interventions = fc.array(intervention, { maxLength: 3 });
export const plan: fc.Arbitrary<Plan> = fc
  .tuple(
    fc.record({ graph: hash, interventions, readouts: fc.array(readout, { maxLength: 3 }) }),
    fc.record({ sweep: fc.array(interventions, { maxLength: 3 }) }, rare),
  )
  .map(([fixed, rest]) => ({ kind: 'plan', version: 1, ...fixed, ...rest }));
