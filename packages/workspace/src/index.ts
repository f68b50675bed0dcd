export { type Action, actionKey, digestJson } from './action-key.ts';
export { type GcOptions, gc, type Removed } from './gc.ts';
export { extendLedger, readLedger, readLocked, storeLocked, storeOutcome } from './ledger.ts';
export { actionsOf, type Listed, type ListedRun, list, resolveHash, runsOf } from './list.ts';
export { rebuild } from './rebuild.ts';
export { findByAction, getJson, getRecord, type Put, type PutOptions, putRecord } from './records.ts';
export { type RunFacts, runRecord, saveRun } from './runs.ts';
export { getTensors, putTensors } from './tensors.ts';
export { closeWorkspace, openWorkspace, type Workspace, type WorkspaceLocation, workspaceDir } from './workspace.ts';
