export * from './option.ts';
export { flagOf, parseOptions, writtenAs } from './parse-options.ts';
export * as shared from './shared-options.ts';
