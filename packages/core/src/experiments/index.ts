export {
  type ExamineDirectionOptions,
  type ExaminePropertyOptions,
  examineDirection,
  examineProperty,
  requireVectorSite,
  taskHalf,
} from './examine-direction.ts';
export { type Act, acts, type Examination, type ExamineOptions, examineModel } from './examine-model.ts';
export { describeCircuit, type FindCircuitOptions, findCircuit } from './find-circuit.ts';
export { type CircuitTest, type TestCircuitOptions, testCircuit, weightEditFinding } from './test-circuit.ts';
export {
  questionOf,
  requireModelOf,
  type ValidateCircuitOptions,
  type ValidatedCircuit,
  validateCircuit,
} from './validate-circuit.ts';
export { numericsVersion, TOOL_VERSION } from './versions.ts';
