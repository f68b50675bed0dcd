import { existsSync } from 'node:fs';
import { CircuitscopeError, type Hash, isHash } from '@circuitscope/schema';
import { pathOf } from './paths.ts';
import type { Workspace } from './workspace.ts';

export interface Listed {
  readonly hash: Hash;
  readonly kind: string;
  readonly name: string | null;
  readonly bytes: number;
  /** Start of the last run that made it; null where no run was recorded. */
  readonly lastRunAt: string | null;
}

/** What the workspace holds, the last made first; what no run made comes last, by hash. */
export function list({ catalogue }: Workspace, filter: { readonly kind?: string | undefined } = {}): Listed[] {
  const select = `
    SELECT hash, kind, name, bytes, (SELECT max(started_at) FROM runs WHERE content_digest = artefacts.hash) AS at
    FROM artefacts WHERE (? IS NULL OR kind = ?) ORDER BY at IS NULL, at DESC, hash`;
  const kind = filter.kind ?? null;
  return catalogue
    .prepare(select)
    .all(kind, kind)
    .map(({ hash, kind, name, bytes, at }) => ({
      hash: asHash(hash),
      kind: String(kind),
      name: name === null ? null : String(name),
      bytes: Number(bytes),
      lastRunAt: at === null ? null : String(at),
    }));
}

export interface ListedRun {
  readonly hash: Hash;
  readonly actionKey: Hash;
  readonly startedAt: string;
  readonly wallTimeMs: number;
}

/** The runs that made an artefact, the last first. */
export function runsOf({ catalogue }: Workspace, digest: Hash): ListedRun[] {
  const select =
    'SELECT hash, action_key, started_at, wall_time_ms FROM runs WHERE content_digest = ? ORDER BY started_at DESC, hash';
  return catalogue
    .prepare(select)
    .all(digest)
    .map((row) => ({
      hash: asHash(row.hash),
      actionKey: asHash(row.action_key),
      startedAt: String(row.started_at),
      wallTimeMs: Number(row.wall_time_ms),
    }));
}

/** The actions that have an artefact as their result. */
export function actionsOf({ catalogue }: Workspace, digest: Hash): Hash[] {
  return catalogue
    .prepare('SELECT action_key FROM actions WHERE content_digest = ? ORDER BY action_key')
    .all(digest)
    .map(({ action_key: key }) => asHash(key));
}

/**
 * The one artefact whose hash begins so: `sha256:12ab…` or the digits alone, at least 4.
 * @throws CircuitscopeError `bad_hash`, `unknown_hash`, `ambiguous_hash`
 */
export function resolveHash(workspace: Workspace, written: string): Hash {
  const digits = written.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{4,64}$/.test(digits)) {
    throw new CircuitscopeError('bad_hash', 'Give a hash, or at least its first 4 hexadecimal digits.', {
      expected: 'sha256:… or its first digits',
      got: written.slice(0, 80),
    });
  }
  const whole = `sha256:${digits}`;
  if (
    isHash(whole) &&
    (['.json', '.safetensors'] as const).some((ending) => existsSync(pathOf(workspace.dir, 'artefacts', whole, ending)))
  )
    return whole;
  // The digits were checked, so none of them is a wildcard.
  const found = workspace.catalogue
    .prepare('SELECT hash FROM artefacts WHERE hash LIKE ? ORDER BY hash LIMIT 3')
    .all(`${whole}%`);
  const [only, second] = found.map(({ hash }) => asHash(hash));
  if (only === undefined) {
    throw new CircuitscopeError(
      'unknown_hash',
      `The workspace ${workspace.dir} has nothing whose hash begins with ${whole}; \`circuitscope workspace list\` shows what it has.`,
      { got: whole },
    );
  }
  if (second === undefined) return only;
  throw new CircuitscopeError('ambiguous_hash', `More than one hash begins with ${whole}; write more digits.`, {
    got: whole,
    expected: `${only}, ${second}`,
  });
}

function asHash(value: unknown): Hash {
  if (isHash(value)) return value;
  throw new CircuitscopeError(
    'bad_catalogue',
    'The catalogue holds something that is no hash; run `circuitscope workspace rebuild`.',
    { got: String(value).slice(0, 80) },
  );
}
