import type { Command } from '../command.ts';

/** A noun with its verbs. */
export interface Group {
  readonly kind: 'group';
  readonly summary: string;
  readonly verbs: { readonly [verb: string]: Command };
}

/** Every command by noun; a noun that needs no verb is a command itself. */
export interface Tree {
  readonly [noun: string]: Command | Group;
}

export function group(summary: string, verbs: { readonly [verb: string]: Command }): Group {
  return { kind: 'group', summary, verbs };
}
