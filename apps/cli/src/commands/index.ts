import { compare } from './bench/compare.ts';
import { kernels } from './bench/kernels.ts';
import { peak } from './bench/peak.ts';
import { report } from './bench/report.ts';
import { algorithm } from './circuit/algorithm.ts';
import { discover } from './circuit/discover.ts';
import { validate } from './circuit/validate.ts';
import { weights } from './circuit/weights.ts';
import { demo } from './demo.ts';
import { stats } from './dictionary/stats.ts';
import { heads } from './features/heads.ts';
import { latents } from './features/latents.ts';
import { project } from './features/project.ts';
import { list as listLedger } from './hypothesis/list.ts';
import { revise } from './hypothesis/revise.ts';
import { show as showLocked } from './hypothesis/show.ts';
import { test } from './hypothesis/test.ts';
import { verify } from './hypothesis/verify.ts';
import { attribute } from './model/attribute.ts';
import { convert } from './model/convert.ts';
import { generate } from './model/generate.ts';
import { inspect } from './model/inspect.ts';
import { lens } from './model/lens.ts';
import { patch } from './model/patch.ts';
import { run } from './model/run.ts';
import { sites } from './model/sites.ts';
import { serve } from './serve.ts';
import { train } from './train/train.ts';
import { group, type Tree } from './tree.ts';
import { universality } from './universality.ts';
import { gc } from './workspace/gc.ts';
import { list } from './workspace/list.ts';
import { rebuild } from './workspace/rebuild.ts';
import { show } from './workspace/show.ts';

import { check } from './zoo/check.ts';
import { list as listZoo } from './zoo/list.ts';

/** Every command there is, in the order in which help lists them. */
export const tree: Tree = {
  demo,
  model: group('look into a model and run it', { inspect, convert, sites, run, generate, patch, lens, attribute }),
  features: group('what a model represents, and where', { heads, project, latents }),
  dictionary: group('sparse dictionaries over a corpus', { stats }),
  circuit: group('which parts carry a behaviour, and the proof', {
    discover,
    validate,
    weights,
    algorithm,
  }),
  universality,
  hypothesis: group('claims that are locked before the data that test them', {
    test,
    list: listLedger,
    show: showLocked,
    verify,
    revise,
  }),
  zoo: group('models whose circuits are known, and the judge of every method', { list: listZoo, check }),
  train,
  bench: group('how fast the kernels are here, held against what this machine can do', {
    peak,
    kernels,
    compare,
    report,
  }),
  workspace: group('look after the folder of results', { list, show, gc, rebuild }),
  serve,
};
