import { CircuitscopeError } from '@circuitscope/schema';
import { zooMembers } from '@circuitscope/zoo';
import { listModelSources } from './workspace.ts';

/** A model that the pages can open, under the name that its address has. */
export interface KnownModel {
  /** Without a slash, so that it is one part of an address. */
  readonly name: string;
  /** `zoo:NAME` or a path; only what the server was started with, or a record of the workspace names, is ever opened. */
  readonly source: string;
  readonly from: 'given' | 'workspace' | 'zoo';
  readonly title: string;
}

/** Those that the server was started with, those that records of the workspace came from, and the zoo. */
export function knownModels(): readonly KnownModel[] {
  const given = (process.env.CIRCUITSCOPE_MODELS ?? '').split('\n').filter((path) => path !== '');
  const sources = [
    ...given.map((source) => ({ source, from: 'given' as const })),
    ...listModelSources().map((source) => ({ source, from: 'workspace' as const })),
    ...zooMembers.map(({ name }) => ({ source: `zoo:${name}`, from: 'zoo' as const })),
  ];
  const titles = new Map(zooMembers.map(({ name, title }) => [`zoo:${name}`, title]));
  const taken = new Map<string, number>();
  const seen = new Set<string>();
  return sources.flatMap(({ source, from }) => {
    if (seen.has(source)) return [];
    seen.add(source);
    const plain = slug(source);
    const count = (taken.get(plain) ?? 0) + 1;
    taken.set(plain, count);
    const name = count === 1 ? plain : `${plain}~${count}`;
    return [{ name, source, from, title: titles.get(source) ?? source }];
  });
}

/** @throws CircuitscopeError `unknown_model` */
export function knownModel(name: string): KnownModel {
  const found = knownModels().find((model) => model.name === name);
  if (found) return found;
  throw new CircuitscopeError(
    'unknown_model',
    'This server knows no model of that name; the list shows those that it knows, and circuitscope serve --model PATH adds one.',
    { got: name.slice(0, 80) },
  );
}

/** The last part of a path, or the zoo's name. */
function slug(source: string): string {
  const part = source.startsWith('zoo:')
    ? source.slice('zoo:'.length)
    : source
        .replace(/[/\\]+$/, '')
        .split(/[/\\]/)
        .at(-1);
  const plain = (part ?? '').replace(/[^\w.-]+/g, '.').replace(/^\.+/, '');
  return plain === '' ? 'model' : plain;
}
