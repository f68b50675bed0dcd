import { inductionInitialiser, type ModelGroup } from '@circuitscope/core';
import { zooMembers } from './open-model.ts';
import type { ZooMember } from './zoo-member.ts';

/** Members that differ in their seed alone, by the name they share: `induction-attn-2l`. */
export function seedFamilies(): ReadonlyMap<string, readonly ZooMember[]> {
  const families = new Map<string, ZooMember[]>();
  for (const member of zooMembers) {
    const name = familyName(member);
    if (name !== null) families.set(name, [...(families.get(name) ?? []), member]);
  }
  return families;
}

export function familyName({ name }: Pick<ZooMember, 'name'>): string | null {
  return /^(.+)\/seed-\d+$/.exec(name)?.[1] ?? null;
}

/** The trained induction models as groups to compare, one an architecture, every seed of each. */
export function inductionGroups(): readonly ModelGroup[] {
  return [...seedFamilies()]
    .filter(([name]) => name.startsWith('induction-'))
    .map(([name, members]) => ({
      name,
      models: members.map((member) => ({
        id: member.name,
        model: member.model(),
        seed: Number(/\d+$/.exec(member.name)?.[0] ?? 0),
      })),
      tokens: { bos: members[0]?.bos ?? null },
      initialiser: inductionInitialiser,
    }));
}
