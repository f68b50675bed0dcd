/** GPT-2's alphabet: the UTF-8 bytes of a character as letters that can be seen. */
export function byteLetters(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  if (point < 0x80) return letters[point] ?? '';
  let spelled = '';
  for (const byte of encoder.encode(character)) spelled += letters[byte] ?? '';
  return spelled;
}

const encoder = new TextEncoder();

/** Bytes that are seen as they stand; the others follow from U+0100 on. */
const isSeen = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

const letters = Array.from({ length: 256 }, (_, byte) => {
  if (isSeen(byte)) return String.fromCharCode(byte);
  const hidden = Array.from({ length: byte }, (_, before) => before).filter((before) => !isSeen(before)).length;
  return String.fromCharCode(0x100 + hidden);
});
