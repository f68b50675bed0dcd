import { chooseNative } from '../kernels/index.ts';
import type { Executor } from './executor.ts';
import { nativeExecutor } from './native-executor.ts';
import { referenceExecutor } from './reference-executor.ts';

export interface ChosenExecutor {
  readonly executor: Executor;
  /** Why the reference serves, in words for a person; null when the addon does. */
  readonly fallbackReason: string | null;
}

let chosen: Promise<ChosenExecutor> | undefined;

/** The native executor where the addon loads, else the reference, with the reason. Decided once per process. */
export function chooseExecutor(): Promise<ChosenExecutor> {
  chosen ??= chooseNative().then((choice) =>
    choice.kind === 'native'
      ? { executor: nativeExecutor(choice.addon), fallbackReason: null }
      : { executor: referenceExecutor(), fallbackReason: choice.reason },
  );
  return chosen;
}
