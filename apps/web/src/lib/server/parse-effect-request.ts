import { CircuitscopeError, isHash, mustParse, ReaderRef, UnitRef } from '@circuitscope/schema';
import { type Edge, type EffectRequest, LIVE_ABLATIONS, type LiveAblation } from '../live/effect.ts';

/** A cut set larger than this is a mistake or an attack: even every edge of a small model is a circuit's work, not a page's. */
export const MAX_CUTS = 512;
/** More than this many characters no cut set has. */
export const MAX_BODY = 1 << 18;

/**
 * Reads the body of a live cut. Unknown keys are errors, as everywhere.
 *
 * @throws CircuitscopeError `invalid_record`, with the place in its sentence.
 */
export function parseEffectRequest(text: string): EffectRequest {
  if (text.length > MAX_BODY) throw bad('the body', `at most ${MAX_BODY} characters`, `${text.length} characters`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw bad('the body', 'JSON', text.slice(0, 40));
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw bad('the body', 'an object', typeName(body));
  const unknown = Object.keys(body).find((key) => key !== 'edges' && key !== 'units' && key !== 'ablation');
  if (unknown !== undefined) throw bad('the body', 'edges, units and ablation', JSON.stringify(unknown.slice(0, 40)));
  const { edges, units, ablation }: { edges?: unknown; units?: unknown; ablation?: unknown } = body;
  const request: EffectRequest = {
    ablation: parseAblation(ablation),
    edges: parseList(edges, 'edges', parseEdge),
    units: parseList(units, 'units', (unit, at) => mustParse(UnitRef, unit, at)),
  };
  const count = request.edges.length + request.units.length;
  if (count === 0) throw bad('edges and units', 'at least one thing to cut', 'none');
  if (count > MAX_CUTS) throw bad('edges and units', `at most ${MAX_CUTS} things to cut`, String(count));
  return request;
}

/** A small whole number from a query string. */
export function parseIndex(text: string | null, name: string): number {
  if (text !== null && /^\d{1,9}$/.test(text)) return Number(text);
  throw bad(name, 'a whole number from 0 on', text === null ? 'nothing' : JSON.stringify(text.slice(0, 40)));
}

/** A content hash from a URL; nothing else ever names a record. */
export function parseHashParam(text: string): `sha256:${string}` {
  if (isHash(text)) return text;
  throw new CircuitscopeError(
    'bad_hash',
    'This is not the address of a circuit: a circuit is named by sha256: and 64 digits.',
    {
      expected: 'sha256:<64 hexadecimal digits>',
      got: text.slice(0, 80),
    },
  );
}

function parseAblation(value: unknown): LiveAblation {
  const known = LIVE_ABLATIONS.find((ablation) => ablation === value);
  if (known) return known;
  throw bad(
    'ablation',
    LIVE_ABLATIONS.join(' or '),
    typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeName(value),
  );
}

function parseList<T>(value: unknown, name: string, parse: (entry: unknown, at: string) => T): readonly T[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw bad(name, 'a list', typeName(value));
  if (value.length > MAX_CUTS) throw bad(name, `at most ${MAX_CUTS} entries`, String(value.length));
  return value.map((entry: unknown, index) => parse(entry, `${name}[${index}]`));
}

function parseEdge(value: unknown, at: string): Edge {
  if (typeof value !== 'object' || value === null) throw bad(at, 'an object with from and to', typeName(value));
  const unknown = Object.keys(value).find((key) => key !== 'from' && key !== 'to');
  if (unknown !== undefined) throw bad(at, 'only from and to', JSON.stringify(unknown.slice(0, 40)));
  const { from, to }: { from?: unknown; to?: unknown } = value;
  return { from: mustParse(UnitRef, from, `${at}.from`), to: mustParse(ReaderRef, to, `${at}.to`) };
}

const typeName = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);

function bad(at: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('invalid_record', `Not a valid cut: ${at} must be ${expected}, not ${got}.`, {
    at,
    expected,
    got,
  });
}
