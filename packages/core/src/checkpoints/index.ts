export { type BlockDtype, blockFormats, isBlockDtype } from './block-dtypes.ts';
export { fileSource } from './byte-source.ts';
export {
  bytesPerEntry,
  type Checkpoint,
  type CheckpointFile,
  hashFile,
  type StoredDtype,
  type StoredTensor,
} from './checkpoint.ts';
export { type Gguf, type GgufValue, readGguf } from './gguf.ts';
export { openHuggingFace, openNpz, openPytorch } from './hugging-face.ts';
export { isKerasNet, type KerasLayer, type KerasNet } from './keras.ts';
export { type Llama2cConfig, openLlama2c } from './llama2c.ts';
export { memoryCheckpoint } from './memory-checkpoint.ts';
export { parseNpy, readNpy, readNpz } from './npy.ts';
export { isOnnxNet, type OnnxAttribute, type OnnxNet, type OnnxNode, openOnnx, readOnnx } from './onnx.ts';
export { type CheckpointOptions, openCheckpoint } from './open-checkpoint.ts';
export { openGguf } from './open-gguf.ts';
export { readStored, readStoredFloat64 } from './read-stored.ts';
export {
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type SafetensorsHeader,
  safetensorsLimits,
} from './safetensors.ts';
export { denseDtype, storedBytes } from './stored-bytes.ts';
export { type TensorView, viewInFile } from './view-in-file.ts';
export { type BytesToWrite, type TensorToWrite, type WritableData, writeSafetensors } from './write-safetensors.ts';
