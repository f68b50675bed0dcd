export { type Assignment, assign } from '../kernels/index.ts';
export {
  type BehaviourName,
  type BehaviourOptions,
  behaviourNames,
  behaviourTask,
  copyingBehaviours,
} from './behaviours.ts';
export { canonicalCorrelations, meanCca, svcca, weightedCca } from './canonical-correlations.ts';
export { type CompareModelsOptions, compareModels } from './compare-models.ts';
export { copyingScores } from './copying-scores.ts';
export { type CorrelatedUnits, type CorrelatedUnitsOptions, correlatedUnits } from './correlated-units.ts';
export { type Decomposed, decomposed, type Eigenvalue, eigenvalues } from './decompose.ts';
export { type DissimilarityKind, dissimilarities, type RepresentationalSimilarity, rsa } from './dissimilarity.ts';
export { type HeadRole, type HeadRoleOptions, type MeasuredRoles, measureHeadRoles, roleNames } from './head-roles.ts';
export { biasedCka, debiasedCka, type Representations } from './linear-cka.ts';
export { identityCoefficient, type Match, matchHeads } from './match-heads.ts';
export type { ModelGroup } from './measure-groups.ts';
export { type Procrustes, procrustes } from './procrustes.ts';
export { type RoleGraph, rewired, roleGraph, weightedJaccard } from './role-graph.ts';
export { universalityRule, universalityVerdict } from './universality-rule.ts';
export { type Initialiser, inductionInitialiser, untrainedModel } from './untrained-model.ts';
