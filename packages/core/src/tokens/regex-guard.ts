/**
 * Whether a pattern from a file repeats a group without bound, as in `(a+)+` or `(a|a)*`: in a backtracking engine a short
 * text can then take exponential time. None of the splitting patterns in use (GPT-2, Llama 3, Qwen, DeepSeek, CLIP) does that, so all of
 * it is refused rather than told apart. This catches the usual bomb, not every slow pattern: long chains of `a?` or `.*` pass.
 */
export function mayBacktrackForEver(pattern: string): boolean {
  let inClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === '\\') i++;
    else if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else if (character === ')' && isUnbounded(pattern.slice(i + 1, i + 16))) return true;
  }
  return false;
}

/** `*`, `+`, `{n,}`, and bounds of more than one digit, which are as good as none. */
const isUnbounded = (rest: string) => /^(\*|\+|\{\d*,\}|\{\d{2,}|\{\d*,\d{2,})/.test(rest);
