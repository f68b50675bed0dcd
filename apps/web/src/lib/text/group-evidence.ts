import type { Evidence } from '@circuitscope/schema';

export type TestEvidence = Extract<Evidence, { kind: 'test' }>;

/** One piece of evidence, or the tests of one family, which were corrected together and are read together. */
export type EvidenceEntry =
  | { readonly kind: 'one'; readonly evidence: Evidence }
  | {
      readonly kind: 'family';
      readonly name: string;
      readonly tests: readonly TestEvidence[];
      readonly largestP: number;
    };

/** In the order of the record; a family stands where its first test stood. */
export function groupEvidence(evidence: readonly Evidence[]): readonly EvidenceEntry[] {
  const families = new Map<string, TestEvidence[]>();
  for (const item of evidence) {
    if (item.kind === 'test' && item.family)
      families.set(item.family.name, [...(families.get(item.family.name) ?? []), item]);
  }
  const done = new Set<string>();
  return evidence.flatMap((item): EvidenceEntry[] => {
    const name = item.kind === 'test' ? item.family?.name : undefined;
    const tests = name === undefined ? [] : (families.get(name) ?? []);
    if (name === undefined || tests.length < 2) return [{ kind: 'one', evidence: item }];
    if (done.has(name)) return [];
    done.add(name);
    return [{ kind: 'family', name, tests, largestP: Math.max(...tests.map(({ p }) => p)) }];
  });
}
