import { readStored, readStoredFloat64, type StoredTensor, type WritableData } from '@circuitscope/core/checkpoints';

/** The entries of a tensor in the type that they were written with. */
export function readEntries(stored: StoredTensor): WritableData {
  if (stored.dtype === 'f64') return readStoredFloat64(stored);
  return stored.dtype === 'i32' ? Int32Array.from(readStoredFloat64(stored)) : readStored(stored);
}
