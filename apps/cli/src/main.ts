#!/usr/bin/env bun
import manifest from '../package.json' with { type: 'json' };
import { tree } from './commands/index.ts';
import { processIo } from './process-io.ts';
import { runCli } from './run-cli.ts';

const { io, flush } = processIo();
const code = await runCli({ tree, version: manifest.version }, process.argv.slice(2), io);
await flush();
process.exit(code);
