import { readFileSync } from 'node:fs';

/** The memory of this process at its highest. */
export function peakBytes(): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (found) return 1024 * Number(found[1]);
  } catch {
    // Other systems than Linux have no such file.
  }
  return process.resourceUsage().maxRSS * (process.platform === 'darwin' ? 1 : 1024);
}
