import type { KernelCall } from '../contract.ts';
import { countAttr, flagAttr } from './call-reader.ts';

/**
 * Which keys a query may read by their places alone. Of P queries and S keys the last query stands at the last key, so query
 * i stands at i + S − P; `causal` hides what lies behind it, `window` (0 or left out: none) what lies `window` or more away.
 */
export function readsKey(call: KernelCall, pos: number, keys: number): (query: number, key: number) => boolean {
  const causal = flagAttr(call, 'causal');
  const window = call.attrs.window === undefined ? 0 : countAttr(call, 'window');
  return (query, key) => {
    const distance = query + keys - pos - key;
    return !(causal && distance < 0) && (window === 0 || Math.abs(distance) < window);
  };
}
