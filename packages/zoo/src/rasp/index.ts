export type { AlignedVariable, Alignment, CausalProgram, CausalValue, CausalValues } from './causal-program.ts';
export { type CompiledProgram, compileProgram } from './compile-program.ts';
export { type DrawnEdge, drawnEdges } from './drawn-edges.ts';
export { interpret } from './interpret.ts';
export { type ProgramTaskRules, programTask } from './program-task.ts';
export { programTruth } from './program-truth.ts';
export { raspPrograms } from './programs.ts';
export { raspMembers } from './rasp-members.ts';
export type {
  Predicate,
  RaspFunction,
  RaspPairFunction,
  RaspProgram,
  RaspValue,
  RaspVariable,
  Selector,
} from './rasp-program.ts';
export { causalProgram } from './run-program.ts';
