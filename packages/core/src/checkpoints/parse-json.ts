import { CircuitscopeError } from '@circuitscope/schema';

/** Limits of one JSON text that came from outside. */
export interface JsonLimits {
  /** Code of the error that is thrown. */
  readonly code: string;
  /** File, for the error. */
  readonly at: string;
  /** Objects and arrays inside each other. */
  readonly maxDepth?: number;
  /** Refuses fractions, signs, exponents, true, false and null: a safetensors header has no honest use for them. */
  readonly unsignedIntegersOnly?: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;

/**
 * JSON.parse for hostile text. JSON.parse alone takes the last of two equal keys in silence and has no limit of depth, so a
 * scan without recursion refuses both first. The scan may misread text that is no JSON; JSON.parse then refuses that text.
 *
 * @throws CircuitscopeError with the code of the limits.
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw refuse(limits, 'is not UTF-8', cause);
  }
  scan(text, limits);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refuse(
      limits,
      `is not valid JSON (${cause instanceof Error ? cause.message.slice(0, 120) : 'syntax'})`,
      cause,
    );
  }
}

function scan(text: string, limits: JsonLimits): void {
  const maxDepth = limits.maxDepth ?? 64;
  const open: (Set<string> | undefined)[] = []; // keys so far of each open object; undefined for an array
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = endOfString(text, i);
      if (end < 0) throw refuse(limits, `has a string that never ends, begun at character ${i}`);
      const keys = open.at(-1);
      if (keys && isFollowedByColon(text, end + 1)) {
        const key = decodedKey(text.slice(i, end + 1));
        if (keys.has(key)) throw refuse(limits, `has the key ${JSON.stringify(key.slice(0, 80))} twice in one object`);
        keys.add(key);
      }
      i = end;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (open.length >= maxDepth) throw refuse(limits, `nests deeper than ${maxDepth} levels at character ${i}`);
      open.push(code === OPEN_BRACE ? new Set() : undefined);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      open.pop();
    } else if (limits.unsignedIntegersOnly && !isPlain(code)) {
      throw refuse(
        limits,
        `has ${JSON.stringify(text[i])} outside a string at character ${i}; only whole numbers belong there`,
      );
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === QUOTE) return i;
  }
  return -1;
}

function isFollowedByColon(text: string, from: number): boolean {
  let i = from;
  while (isSpace(text.charCodeAt(i))) i++;
  return text.charCodeAt(i) === COLON;
}

/** The string between the quotes. Two spellings of one key ("a" and "\u0061") are the same key. */
function decodedKey(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted; // a broken escape: JSON.parse of the whole text reports it
  }
}

const isSpace = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
const isPlain = (code: number) => (code >= 0x30 && code <= 0x39) || code === 0x2c || code === COLON || isSpace(code);

function refuse(limits: JsonLimits, what: string, cause?: unknown): CircuitscopeError {
  return new CircuitscopeError(limits.code, `The JSON in ${limits.at} ${what}; the file is damaged or hostile.`, {
    at: limits.at,
    cause,
  });
}
