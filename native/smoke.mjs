// Loads the built addon and uses it as the product does, in whichever runtime runs this file:
//   bun smoke.mjs · node smoke.mjs (24 or newer) · deno run --allow-ffi --allow-read --allow-env smoke.mjs
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { loadNative } from './index.ts';

const addon = loadNative();
if ('missing' in addon) {
  console.error(`smoke: ${addon.missing}`);
  process.exit(1);
}

const noise = (length, seed) => {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
};

/** Tokens [batch, pos] → embedding → one causal attention head, its pattern captured → gelu. */
const program = {
  version: 1,
  values: [
    { shape: ['batch', 'pos'], dtype: 'i32', slot: 0 },
    { shape: ['batch', 'pos', 8], dtype: 'f32', slot: 1 },
    { shape: ['batch', 'pos', 1, 8], dtype: 'f32', slot: 2 },
    { shape: ['batch', 'pos', 1, 8], dtype: 'f32', slot: 3 },
    { shape: ['batch', 1, 'pos', 'pos'], dtype: 'f32', slot: 4 },
    { shape: ['batch', 'pos', 1, 8], dtype: 'f32', slot: 1 },
  ],
  slots: 5,
  inputs: [{ name: 'tokens', value: 0 }],
  params: ['E', 'W', 'b'],
  steps: [
    { kernel: 'embed', in: [0], out: [1], params: [0], attrs: {} },
    { kernel: 'linear', in: [1], out: [2], params: [1, 2], attrs: {} },
    { kernel: 'attention', in: [2, 2, 2, -1], out: [3, -1, 4], params: [], attrs: { scale: 0.5, causal: true } },
    { kernel: 'activation', in: [3], out: [5], params: [], attrs: { fn: 'gelu_tanh' } },
  ],
  outputs: [
    { name: 'out', value: 5 },
    { name: 'pattern', value: 4 },
  ],
};

/** The same in plain double arithmetic. */
function expected(tokens, E, W, b) {
  const rows = tokens.map((token) =>
    Array.from({ length: 8 }, (_, n) => {
      let sum = b[n];
      for (let k = 0; k < 8; k++) sum += E[token * 8 + k] * W[k * 8 + n];
      return sum;
    }),
  );
  return rows.flatMap((query, at) => {
    const weights = rows
      .slice(0, at + 1)
      .map((key) => Math.exp(0.5 * key.reduce((sum, k, i) => sum + k * query[i], 0)));
    const total = weights.reduce((a, w) => a + w, 0);
    return query.map((_, i) => {
      const z = weights.reduce((sum, w, key) => sum + (w / total) * rows[key][i], 0);
      return 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
    });
  });
}

/** A hundred matrix products: a second of work or more on any machine of today. */
const width = 1024;
const steps = 100;
const long = {
  version: 1,
  values: Array.from({ length: steps + 1 }, (_, at) => ({ shape: ['rows', width], dtype: 'f32', slot: at % 2 })),
  slots: 2,
  inputs: [{ name: 'x', value: 0 }],
  params: ['L'],
  steps: Array.from({ length: steps }, (_, at) => ({
    kernel: 'linear',
    in: [at],
    out: [at + 1],
    params: [0],
    attrs: {},
  })),
  outputs: [{ name: 'y', value: steps }],
};

function startLong() {
  const store = new addon.NativeStore();
  store.defineOwned('L', noise(width * width, 7), [width, width], [width, 1]);
  const run = new addon.NativeRun();
  const inputs = { x: noise(width * width, 3) };
  const done = addon.execute(
    new addon.NativeProgram(JSON.stringify(long)),
    store,
    { rows: width },
    inputs,
    ['y'],
    {},
    run,
  );
  return { run, done };
}

if (!isMainThread) {
  startLong().done.catch(() => {});
  parentPort.postMessage('running');
} else {
  let checks = 0;
  const check = (fact, holds) => {
    if (!holds) {
      console.error(`smoke: it does not hold that ${fact}`);
      process.exit(1);
    }
    checks++;
  };
  const refusal = async (attempt) => {
    try {
      await attempt();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.code : 'not an Error';
    }
  };

  const info = addon.info();
  check(
    'the instruction set in use is one that there is',
    info.isas.includes(info.isa) && info.isas.includes('portable'),
  );
  check('a pinned instruction set is used', (process.env.CIRCUITSCOPE_ISA ?? info.isa) === info.isa);
  check('the build says what it is', info.version.length > 0 && info.threads >= 1 && info.cpu.length > 0);

  const [E, W, b] = [noise(20 * 8, 1), noise(64, 2), noise(8, 5)];
  const store = new addon.NativeStore();
  store.defineOwned('E', E, [20, 8], [8, 1]);
  store.defineOwned('W', W, [8, 8], [8, 1]);
  store.defineOwned('b', b, [8], [1]);
  const compiled = new addon.NativeProgram(JSON.stringify(program));
  const ids = [3, 1, 4, 1, 5, 19, 2, 6, 5];
  const call = (tokens, options = {}, sizes = { batch: 1, pos: 9 }) =>
    addon.execute(compiled, store, sizes, { tokens }, ['out', 'pattern'], options, new addon.NativeRun());

  const results = [];
  for (const threads of [1, 2, 3, 7]) {
    results.push((await call(Int32Array.from(ids), { threads })).out);
  }
  const wish = expected(ids, E, W, b);
  check(
    'a program gives what plain arithmetic gives',
    wish.every((value, at) => Math.abs(value - results[0][at]) < 2e-6),
  );
  check(
    'threads change no bit',
    results.every((out) => out.every((value, at) => Object.is(value, results[0][at]))),
  );

  const shared = new Int32Array(new SharedArrayBuffer(36));
  shared.set(ids);
  const { out: fromShared } = await call(shared);
  check(
    'shared memory is copied in',
    fromShared.every((value, at) => Object.is(value, results[0][at])),
  );

  const gone = Int32Array.from(ids);
  structuredClone(gone, { transfer: [gone.buffer] });
  check('a detached input is refused', (await refusal(() => call(gone))) === 'bad_input');
  check('a wrong type is refused', (await refusal(() => call(new Float32Array(9)))) === 'bad_input');
  check(
    'a fractional size is refused',
    (await refusal(() => call(Int32Array.from(ids), {}, { batch: 1, pos: 8.5 }))) === 'bad_input',
  );
  check(
    'a token outside the vocabulary is refused',
    (await refusal(() => call(Int32Array.from({ length: 9 }, () => 20)))) === 'out_of_range',
  );
  check(
    'a budget that is too small is refused',
    (await refusal(() => call(Int32Array.from(ids), { memoryBytes: 100 }))) === 'memory',
  );
  check(
    'a program that is none is refused',
    (await refusal(() => new addon.NativeProgram('{"version":1}'))) === 'bad_program',
  );
  check('a file that is not there is refused', (await refusal(() => store.mapFile('no such file', 1))) === 'bad_file');
  store.remove('b');
  check('a missing weight is refused', (await refusal(() => call(Int32Array.from(ids)))) === 'missing_param');
  const bytes = store.bytes();
  check('a packed matrix is not held twice', bytes.packed > 0 && bytes.owned === 20 * 8 * 4);

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  // A large output holds the memory that it was computed in, until it is collected.
  const many = 9 << 20;
  const twice = new addon.NativeProgram(
    JSON.stringify({
      version: 1,
      values: [
        { shape: ['n'], dtype: 'f32', slot: 0 },
        { shape: ['n'], dtype: 'f32', slot: 1 },
      ],
      slots: 2,
      inputs: [{ name: 'x', value: 0 }],
      params: [],
      steps: [{ kernel: 'sum', in: [0, 0], out: [1], params: [], attrs: {} }],
      outputs: [{ name: 'y', value: 1 }],
    }),
  );
  let held = [];
  for (let round = 0; round < 8; round++) {
    const x = new Float32Array(many).fill(round);
    const { y } = await addon.execute(twice, store, { n: many }, { x }, ['y'], {}, new addon.NativeRun());
    held = [...held.slice(-1), y];
    check(
      'a large output stays as it was while others come and go',
      held.every((array, at) => array[many - 1] === 2 * (round + 1 - held.length + at)),
    );
  }

  const stopped = startLong();
  const code = refusal(() => stopped.done);
  await pause(60);
  check('the event loop lives while threads compute', stopped.run.progress() < steps);
  const asked = performance.now();
  stopped.run.cancel();
  check('a cancelled run says so', (await code) === 'cancelled');
  // The engine stops within 50 ms of work; the rest is for a busy machine to get round to it.
  check('a cancelled run ends soon', performance.now() - asked < 500);

  const worker = new Worker(new URL(import.meta.url));
  await new Promise((resolve) => worker.once('message', resolve));
  await worker.terminate();
  check('a worker that ends in the middle of a run harms nobody', true);

  // Leave with a run under way: the process must end by itself, without a fault.
  startLong().done.catch(() => {});
  await pause(5);
  console.log(`ok ${checks} checks`);
  process.exit(0);
}
