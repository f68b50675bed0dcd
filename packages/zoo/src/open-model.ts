import { type AnyModel, type ConvnetOptions, loadModel, type Model, requireDecoder } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import { handwrittenInduction, inductionWithDistractors, rotatedInduction } from './handwritten-induction.ts';
import { linearMembers } from './linear-models.ts';
import { modularAddition13, modularAddition113 } from './modular-addition.ts';
import { raspMembers } from './rasp/rasp-members.ts';
import { TRAINED_ADDITION_SEEDS, trainedAddition } from './trained-addition.ts';
import {
  TRAINED_SEEDS,
  TRAINED_SEEDS_WITH_MLPS,
  trainedInduction,
  trainedInductionWithMlps,
} from './trained-induction.ts';
import { TRAINED_SORTING_SEEDS, trainedSorting } from './trained-sorting.ts';
import type { ZooMember } from './zoo-member.ts';

export const zooMembers: readonly ZooMember[] = [
  handwrittenInduction,
  rotatedInduction,
  inductionWithDistractors,
  ...raspMembers,
  modularAddition113,
  modularAddition13,
  ...linearMembers,
  ...TRAINED_SEEDS.map(trainedInduction),
  ...TRAINED_SEEDS_WITH_MLPS.map(trainedInductionWithMlps),
  ...TRAINED_ADDITION_SEEDS.map(trainedAddition),
  ...TRAINED_SORTING_SEEDS.map(trainedSorting),
];

export function zooMember(name: string): ZooMember {
  const member = zooMembers.find((candidate) => candidate.name === name);
  if (member) return member;
  const known = zooMembers.map((candidate) => candidate.name).join(', ');
  throw new CircuitscopeError('unknown_zoo_member', `The zoo has no ${name}; it has ${known}.`, {
    expected: known,
    got: name,
  });
}

/**
 * Opens `zoo:NAME`, or a checkpoint at a path, of whatever kind.
 * @param options for nets that look at images: their size, where a checkpoint does not say it
 */
export async function openModel(
  source: string,
  options: ConvnetOptions = {},
): Promise<{ readonly model: AnyModel; readonly member: ZooMember | null }> {
  if (!source.startsWith('zoo:')) return { model: loadModel(source, options), member: null };
  const member = zooMember(source.slice('zoo:'.length));
  return { model: member.model(), member };
}

/**
 * Opens a decoder: `zoo:NAME`, or a checkpoint at a path.
 * @throws CircuitscopeError `unsupported_architecture` for other kinds of models
 */
export async function openDecoder(
  source: string,
): Promise<{ readonly model: Model; readonly member: ZooMember | null }> {
  const { model, member } = await openModel(source);
  return { model: requireDecoder(model), member };
}
