// Tokens are shown as they are, with the white space that would be invisible or break the drawing made visible.

const VISIBLE: Readonly<Record<string, string>> = { '\n': '⏎', '\r': '␍', '\t': '⇥', ' ': '␣' };

/** A leading or lone space and every other white space becomes a sign; an empty token a sign for empty. */
export function tokenText(token: string): string {
  if (token === '') return '∅';
  const visible = token.replace(/[\n\r\t]/g, (sign) => VISIBLE[sign] ?? sign);
  return visible.replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length));
}

/** As `tokenText`, cut to a number of letters for an axis. */
export function shortToken(token: string, letters: number): string {
  const text = [...tokenText(token)];
  return text.length <= letters ? text.join('') : `${text.slice(0, letters - 1).join('')}…`;
}
