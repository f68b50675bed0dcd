import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../io.ts';
import { Cancelled } from '../process-io.ts';

/**
 * Says what went wrong and gives the exit code: 1 and exactly one line for a user's mistake, 130 and its kin for a
 * cancelled command, 2 and the stack for a bug of ours.
 */
export function reportError(error: unknown, io: Io): number {
  const { stderr, signal } = io;
  // Work that was cancelled fails in many ways; all of them are the cancellation.
  if (signal.aborted) {
    stderr.write('circuitscope: cancelled\n');
    return signal.reason instanceof Cancelled ? signal.reason.exitCode : 130;
  }
  if (error instanceof CircuitscopeError) {
    stderr.write(`circuitscope: ${oneLine(error.message)}\n`);
    return 1;
  }
  const refused = fileSystemRefusal(error);
  if (refused) {
    stderr.write(`circuitscope: ${oneLine(refused)}\n`);
    return 1;
  }
  const stack = error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);
  stderr.write(`circuitscope: this is a bug of Circuitscope, please report it with the lines below\n${stack}\n`);
  return 2;
}

const reasons: { readonly [code: string]: string } = {
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOENT: 'a folder on the way does not exist',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
};

/** A path that the operating system refuses is the user's to mend. */
function fileSystemRefusal(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || !('path' in error)) return null;
  const reason = reasons[String(error.code)];
  return reason ? `${String(error.path)} cannot be read or written: ${reason}.` : null;
}

/** Names from files may hold anything; a terminal must not obey them. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach the terminal
  return text.replace(/\s*\n\s*/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}
