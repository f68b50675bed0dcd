// Tokens are shown as they are, with the white space that would be invisible or break the drawing made visible.

const VISIBLE: Readonly<Record<string, string>> = { '\n': '⏎', '\r': '␍', '\t': '⇥', ' ': '␣' };

/** Controls, and signs that are invisible or turn the direction of what stands around them. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/**
 * A leading or lone space and every other white space becomes a sign, a control its picture (␀), another sign without a shape
 * its number (‹U+202E›); an empty token a sign for empty.
 */
export function tokenText(token: string): string {
  if (token === '') return '∅';
  const visible = token.replace(HIDDEN, (sign) => VISIBLE[sign] ?? picture(sign.codePointAt(0) ?? 0));
  return visible.replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length));
}

function picture(code: number): string {
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? '␡' : `‹U+${code.toString(16).toUpperCase().padStart(4, '0')}›`;
}

/** As `tokenText`, cut to a number of letters for an axis. */
export function shortToken(token: string, letters: number): string {
  const text = [...tokenText(token)];
  return text.length <= letters ? text.join('') : `${text.slice(0, letters - 1).join('')}…`;
}
