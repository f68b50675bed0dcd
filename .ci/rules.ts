/**
 * Who may know whom, held as absences. A rule sees one source file as text with its imports and says what is wrong;
 * the cycles are looked for over the whole tree. Only relative and `@circuitscope/` imports are read as ours.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

export interface Source {
  /** From the root, with forward slashes: `packages/core/src/graph/graph.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly specifier: string;
  readonly kind: 'static' | 'type' | 'dynamic';
}

interface Part {
  readonly name: string;
  readonly folder: string;
  /** The parts it may import. */
  readonly knows: readonly string[];
  /** Of some of them one door alone. */
  readonly through?: { readonly [part: string]: string };
}

const parts: readonly Part[] = [
  { name: 'schema', folder: 'packages/schema', knows: [] },
  { name: 'core', folder: 'packages/core', knows: ['schema'] },
  { name: 'zoo', folder: 'packages/zoo', knows: ['schema', 'core'] },
  { name: 'workspace', folder: 'packages/workspace', knows: ['schema', 'core'] },
  { name: 'views', folder: 'packages/views', knows: ['schema'] },
  { name: 'native', folder: 'native', knows: [] },
  {
    name: 'cli',
    folder: 'apps/cli',
    knows: ['schema', 'core', 'zoo', 'workspace', 'views', 'native'],
    // Pictures as text: a terminal has no use for components.
    through: { views: '@circuitscope/views/figures' },
  },
  { name: 'web', folder: 'apps/web', knows: ['schema', 'core', 'zoo', 'workspace', 'views', 'native'] },
  { name: 'benchmarks', folder: 'benchmarks', knows: ['schema', 'core', 'zoo', 'workspace', 'native'] },
];

/** The floors of core from the ground up: a room imports rooms below it, never above. */
export const rooms = [
  'tensor',
  'kernels',
  'graph',
  'plan',
  'checkpoints',
  'architectures',
  'tokens',
  'statistics',
  'bench',
  'lens',
  'features',
  'dictionaries',
  'circuits',
  'interventions',
  'universality',
  'experiments',
  'training',
] as const;
const firstAnalysis = rooms.indexOf('lens');

/** The one file of core that may load the addon, and only when it runs. */
const chooser = 'packages/core/src/kernels/choose.ts';

/** Comments and, where `strings` says so, the insides of string literals, blanked; line breaks stay. */
function blank(text: string, strings: boolean): string {
  const pattern =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|<!--[\s\S]*?-->|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(pattern, (found) => {
    if (/^['"]/.test(found)) return strings ? `${found[0]}${found[0]}` : found;
    // A template may hold code in ${…}: only its plain form is blanked.
    if (found.startsWith('`')) return strings && !found.includes('${') ? '``' : found;
    return found.replace(/[^\n]/g, ' ');
  });
}

export function importsOf(text: string): readonly Import[] {
  const code = blank(text, false);
  const found: Import[] = [];
  for (const match of code.matchAll(
    /\b(?:import|export)\s+(type\s+)?(?:[\w$*{][^'"`;()]*?\sfrom\s*|[*{][^'"`;()]*?\}?\s*from\s*)['"]([^'"\n]+)['"]/g,
  )) {
    found.push({ specifier: match[2]!, kind: match[1] ? 'type' : 'static' });
  }
  for (const match of code.matchAll(/\bimport\s*['"]([^'"\n]+)['"]/g))
    found.push({ specifier: match[1]!, kind: 'static' });
  for (const match of code.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`\n]+)['"`]/g)) {
    found.push({ specifier: match[1]!, kind: 'dynamic' });
  }
  return found;
}

const partOf = (path: string) => parts.find(({ folder }) => path.startsWith(`${folder}/`));
const roomOf = (path: string) => /^packages\/core\/src\/([\w-]+)\//.exec(path)?.[1];
const isTest = (path: string) => /\.test\.ts$|\/(e2e|fixtures)\//.test(path);
const relative = (specifier: string) => specifier.startsWith('.');

/** Where an import of ours leads: a file of the tree, or the part that a package name means. */
function targetOf(from: string, specifier: string): { path?: string; part?: string } {
  if (relative(specifier)) return { path: posix.join(posix.dirname(from), specifier) };
  const scoped = /^@circuitscope\/([\w-]+)(?:\/(.+))?$/.exec(specifier);
  if (!scoped) return {};
  const part = parts.find(({ name }) => name === scoped[1]);
  if (part?.name === 'core')
    return { part: 'core', path: `packages/core/src/${scoped[2] ? `${scoped[2]}/` : ''}index.ts` };
  return { part: scoped[1]!, ...(part ? { path: `${part.folder}/src/index.ts` } : {}) };
}

const socketModules = /^(?:node:)?(?:net|tls|http|https|http2|dgram|inspector)(?:\/|$)|^(?:ws|undici|axios)$/;
const sockets =
  /(?<![\w$.])(?:fetch|WebSocket|EventSource|XMLHttpRequest)\s*\(|\bnew\s+(?:WebSocket|EventSource|XMLHttpRequest)\b|\bBun\.(?:serve|listen|connect|udpSocket)\b|\b(?:globalThis|window|self)\.fetch\b/;
const printing = /(?<![\w$.])console\.\w+|\bprocess\.(?:stdout|stderr)\b|\bBun\.(?:stdout|stderr)\b/;

function wrongImport(path: string, { specifier, kind }: Import): string | undefined {
  const part = partOf(path);
  if (!part) return undefined;
  const target = targetOf(path, specifier);
  const other = target.part ?? (relative(specifier) && target.path ? partOf(target.path)?.name : undefined);
  if (other === undefined) {
    const outside = relative(specifier) && !target.path?.startsWith(`${part.folder}/`);
    return outside && !target.path?.startsWith('.ci/')
      ? `imports ${specifier}, which lies outside ${part.name}`
      : undefined;
  }
  if (other === part.name) return relative(specifier) ? undefined : `imports its own package by name (${specifier})`;
  if (relative(specifier)) return `reaches into ${other} by path (${specifier})`;
  const door = part.through?.[other];
  if (door !== undefined && specifier !== door)
    return `imports ${specifier}; ${part.name} may know ${other} by ${door}`;
  if (part.knows.includes(other)) return undefined;
  if (part.name === 'core' && other === 'native') {
    if (path === chooser && kind === 'dynamic') return undefined;
    // A test beside the source may compare both executors on purpose, at run time.
    if (isTest(path) && kind === 'dynamic') return undefined;
    return `imports native; only kernels/choose.ts may, dynamically`;
  }
  return `imports ${other}; ${part.name} may know ${part.knows.join(', ') || 'nothing of ours'}`;
}

function wrongFloor(path: string, { specifier }: Import): string | undefined {
  const room = roomOf(path);
  const target = relative(specifier) ? targetOf(path, specifier).path : undefined;
  const other = target ? roomOf(target) : undefined;
  if (room === undefined || other === undefined || room === other) return undefined;
  const [here, there] = [room, other].map((name) => (rooms as readonly string[]).indexOf(name));
  if (here === -1) return `lies in ${room}, which is no room of core`;
  if (there === -1) return `imports ${other}, which is no room of core`;
  if (there! > here!) return `imports ${other}, a floor above ${room}`;
  if (here! >= firstAnalysis && there! >= firstAnalysis && !target!.endsWith(`/${other}/index.ts`)) {
    return `imports the inside of ${other} (${specifier}); analyses meet at index.ts`;
  }
  return undefined;
}

/** What one source file does that its part may not. */
export function wrongsOf({ path, text }: Source): readonly string[] {
  const part = partOf(path);
  if (!part) return [];
  if (path.startsWith('native/kernels/')) {
    const code = path.endsWith('.toml') ? text.replace(/#[^\n]*/g, '') : blank(text, true);
    return /\bnapi\b|\bnapi[_-]/.test(code) ? [`${path}: knows N-API; only native/addon may`] : [];
  }
  if (!/\.(ts|mts|svelte|js|mjs)$/.test(path)) return [];

  const wrongs: string[] = [];
  const imports = importsOf(text);
  for (const each of imports) {
    const wrong = wrongImport(path, each) ?? (isTest(path) ? undefined : wrongFloor(path, each));
    if (wrong) wrongs.push(wrong);
  }
  if (!isTest(path)) {
    const code = blank(text, true);
    const silent = part.name === 'core' || part.name === 'schema';
    if (silent || part.name === 'views') {
      for (const { specifier } of imports)
        if (socketModules.test(specifier)) wrongs.push(`imports ${specifier}, a socket`);
      const socket = sockets.exec(code);
      if (socket) wrongs.push(`reaches the network (${socket[0].trim()})`);
    }
    const print = silent ? printing.exec(code) : null;
    if (print) wrongs.push(`prints (${print[0]})`);
  }
  return wrongs.map((wrong) => `${path}: ${wrong}`);
}

/**
 * Import cycles between source files, each as the files it runs through. Tests are left out; so are imports of types
 * alone, which are gone before anything runs, except between packages and rooms, where wrongsOf holds them.
 */
export function cyclesOf(sources: readonly Source[]): readonly string[] {
  const known = new Set(sources.map(({ path }) => path));
  const edges = new Map<string, readonly string[]>();
  for (const { path, text } of sources) {
    if (isTest(path) || !/\.(ts|svelte)$/.test(path)) continue;
    const targets = importsOf(text)
      .filter(({ kind }) => kind === 'static')
      .map(({ specifier }) => targetOf(path, specifier).path)
      .filter((target) => target !== undefined && known.has(target));
    edges.set(path, [...new Set(targets as string[])]);
  }

  const cycles: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    state.set(path, 'open');
    trail.push(path);
    for (const next of edges.get(path) ?? []) {
      const seen = state.get(next);
      if (seen === 'open') cycles.push([...trail.slice(trail.indexOf(next)), next].join(' → '));
      else if (seen === undefined) visit(next);
    }
    trail.pop();
    state.set(path, 'done');
  };
  for (const path of edges.keys()) if (!state.has(path)) visit(path);
  return cycles;
}

/** Every source file of the parts, generated and foreign folders left out. */
export function readSources(root: string): readonly Source[] {
  const sources: Source[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!/^(node_modules|target|dist|build|\..*)$/.test(entry.name)) walk(path);
      } else if (/\.(ts|mts|js|mjs|svelte|rs)$|^Cargo\.toml$/.test(entry.name)) {
        sources.push({ path, text: readFileSync(join(root, path), 'utf8') });
      }
    }
  };
  for (const { folder } of parts) walk(folder);
  return sources;
}

export const repositoryRoot = dirname(import.meta.dirname);
