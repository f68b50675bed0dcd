import { describe, expect, test } from 'vitest';
import { cyclesOf, importsOf, readSources, repositoryRoot, wrongsOf } from './rules.ts';

const wrongs = (path: string, text: string) => wrongsOf({ path, text });
const core = (file: string, text: string) => wrongs(`packages/core/src/${file}`, text);

describe('the tree', () => {
  const sources = readSources(repositoryRoot);

  test('every part is read', () => {
    const folders = new Set(sources.map(({ path }) => path.split('/').slice(0, 2).join('/')));
    expect([...folders]).toEqual(expect.arrayContaining(['packages/schema', 'packages/core', 'apps/cli']));
  });

  test('no file knows what it may not know', () => {
    expect(sources.flatMap(wrongsOf)).toEqual([]);
  });

  test('no imports run in a circle', () => {
    expect(cyclesOf(sources)).toEqual([]);
  });
});

describe('imports are found', () => {
  test('in every form that loads something', () => {
    const text = [
      `import a from './a.ts';`,
      `import { b, type c } from "./b.ts";`,
      `import type { d } from './d.ts';`,
      `import {\n  e,\n  f,\n} from './e.ts';`,
      `import * as g from './g.ts';`,
      `import './h.ts';`,
      `export * from './i.ts';`,
      `export { j } from './j.ts';`,
      `const k = await import('./k.ts');`,
    ].join('\n');
    expect(
      importsOf(text)
        .map(({ specifier, kind }) => `${kind} ${specifier}`)
        .sort(),
    ).toEqual([
      'dynamic ./k.ts',
      'static ./a.ts',
      'static ./b.ts',
      'static ./e.ts',
      'static ./g.ts',
      'static ./h.ts',
      'static ./i.ts',
      'static ./j.ts',
      'type ./d.ts',
    ]);
  });

  test('but not in comments', () => {
    expect(importsOf(`// import a from './a.ts';\n/* import './b.ts' */\nconst from = 'x';`)).toEqual([]);
  });
});

describe('who may know whom', () => {
  test('the command line draws pictures as text, and touches no component', () => {
    const cli = (specifier: string) => wrongs('apps/cli/src/a.ts', `import { x } from '${specifier}';`);
    expect(cli('@circuitscope/views/figures')).toEqual([]);
    expect(cli('@circuitscope/views')[0]).toContain('may know views by @circuitscope/views/figures');
    expect(cli('@circuitscope/views/elements/circuit-graph.js')).toHaveLength(1);
  });

  test('schema knows nothing of ours', () => {
    expect(wrongs('packages/schema/src/unit.ts', `import { run } from '@circuitscope/core';`)).toHaveLength(1);
    expect(wrongs('packages/schema/src/unit.ts', `import type { run } from '@circuitscope/core';`)).toHaveLength(1);
    expect(wrongs('packages/schema/src/unit.ts', `import { z } from 'zod';`)).toEqual([]);
  });

  test('core knows schema alone', () => {
    expect(core('plan/compile.ts', `import type { Plan } from '@circuitscope/schema';`)).toEqual([]);
    expect(core('plan/compile.ts', `import { open } from '@circuitscope/workspace';`)).toHaveLength(1);
  });

  test('only the chooser loads the addon, and only when it runs', () => {
    expect(core('kernels/choose.ts', `const native = await import('@circuitscope/native');`)).toEqual([]);
    expect(core('kernels/choose.ts', `import { info } from '@circuitscope/native';`)).toHaveLength(1);
    expect(core('plan/execute.ts', `const native = await import('@circuitscope/native');`)).toHaveLength(1);
  });

  test('workspace and zoo do not know each other', () => {
    expect(wrongs('packages/workspace/src/open.ts', `import { zoo } from '@circuitscope/zoo';`)).toHaveLength(1);
    expect(wrongs('packages/zoo/src/index.ts', `import { open } from '@circuitscope/workspace';`)).toHaveLength(1);
  });

  test('apps do not import each other', () => {
    expect(wrongs('apps/web/src/lib/server/a.ts', `import { x } from '@circuitscope/cli';`)).toHaveLength(1);
    expect(wrongs('apps/cli/src/main.ts', `import { x } from '../../web/src/lib/a.ts';`)).toHaveLength(1);
  });

  test('nothing imports benchmarks', () => {
    expect(wrongs('apps/cli/src/main.ts', `import { x } from '@circuitscope/benchmarks';`)).toHaveLength(1);
  });

  test('no package is entered by path', () => {
    expect(wrongs('packages/zoo/src/index.ts', `import { x } from '../../core/src/plan/index.ts';`)).toHaveLength(1);
  });

  test('the Rust kernels know no N-API', () => {
    expect(wrongs('native/kernels/Cargo.toml', `[dependencies]\nnapi = "3"`)).toHaveLength(1);
    expect(wrongs('native/kernels/src/lib.rs', `use napi_derive::napi;`)).toHaveLength(1);
    expect(wrongs('native/kernels/src/lib.rs', `// napi lives in addon\npub mod linear;`)).toEqual([]);
    expect(wrongs('native/addon/src/lib.rs', `use napi::bindgen_prelude::*;`)).toEqual([]);
  });
});

describe('what a part may not do', () => {
  test('core opens no socket', () => {
    expect(core('tokens/load.ts', `const page = await fetch(url);`)).toHaveLength(1);
    expect(core('tokens/load.ts', `import { connect } from 'node:net';`)).toHaveLength(1);
    expect(core('tokens/load.ts', `import http from 'http';`)).toHaveLength(1);
    expect(core('tokens/load.ts', `Bun.serve({});`)).toHaveLength(1);
    expect(core('tokens/load.ts', `new WebSocket(url);`)).toHaveLength(1);
    expect(core('tokens/load.ts', `prefetch(1); this.fetch(2); const s = 'fetch(x)'; // fetch(y)`)).toEqual([]);
  });

  test('core prints nothing', () => {
    expect(core('plan/run.ts', `console.log(1);`)).toHaveLength(1);
    expect(core('plan/run.ts', `process.stdout.write('x');`)).toHaveLength(1);
    expect(core('plan/run.ts', `const hint = 'console.log(1)'; // console.error(2)`)).toEqual([]);
  });

  test('a view fetches nothing', () => {
    const view = `<script lang="ts">\n  const data = await fetch('/x');\n</script>`;
    expect(wrongs('packages/views/src/circuit-graph/circuit-graph.svelte', view)).toHaveLength(1);
  });
});

describe('the floors of core', () => {
  test('a lower room does not import a higher one', () => {
    expect(core('tensor/tensor.ts', `import { graph } from '../graph/index.ts';`)).toHaveLength(1);
    expect(core('graph/graph.ts', `import { tensor } from '../tensor/tensor.ts';`)).toEqual([]);
    expect(core('graph/graph.ts', `import { rewrite } from './rewrite.ts';`)).toEqual([]);
  });

  test('analyses meet at index.ts', () => {
    expect(core('circuits/discover.ts', `import { auroc } from '../features/auroc.ts';`)).toHaveLength(1);
    expect(core('circuits/discover.ts', `import { auroc } from '../features/index.ts';`)).toEqual([]);
    expect(core('circuits/discover.ts', `import { compile } from '../plan/compile.ts';`)).toEqual([]);
  });

  test('there is no room but the listed ones', () => {
    expect(core('plan/run.ts', `import { x } from '../helpers/x.ts';`)).toHaveLength(1);
  });
});

describe('cycles', () => {
  const file = (path: string, text: string) => ({ path: `packages/core/src/graph/${path}`, text });

  test('of two and of three files are found', () => {
    const two = [file('a.ts', `import './b.ts';`), file('b.ts', `import { a } from './a.ts';`)];
    expect(cyclesOf(two)).toHaveLength(1);
    const three = [
      file('a.ts', `import './b.ts';`),
      file('b.ts', `import './c.ts';`),
      file('c.ts', `import './a.ts';`),
    ];
    expect(cyclesOf(three)).toHaveLength(1);
  });

  test('between packages are found', () => {
    const across = [
      { path: 'packages/zoo/src/index.ts', text: `import '@circuitscope/workspace';` },
      { path: 'packages/workspace/src/index.ts', text: `import '@circuitscope/zoo';` },
    ];
    expect(cyclesOf(across)).toHaveLength(1);
  });

  test('of types alone do not count', () => {
    const types = [file('a.ts', `import './b.ts';`), file('b.ts', `import type { a } from './a.ts';`)];
    expect(cyclesOf(types)).toEqual([]);
  });

  test('a diamond is none', () => {
    const diamond = [
      file('a.ts', `import './b.ts';\nimport './c.ts';`),
      file('b.ts', `import './d.ts';`),
      file('c.ts', `import './d.ts';`),
      file('d.ts', ''),
    ];
    expect(cyclesOf(diamond)).toEqual([]);
  });
});
