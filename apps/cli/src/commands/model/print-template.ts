import { resolve } from 'node:path';
import { convnetTemplate } from '@circuitscope/core/architectures';
import { openCheckpoint } from '@circuitscope/core/checkpoints';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../../io.ts';
import { note, print } from '../../output/index.ts';

/**
 * A draft of the configuration of weights that have none, as the file that it is to become; what it assumes is told beside it.
 * A configuration beside them is not looked at: where the shell writes the draft there, an empty file lies there already.
 * @throws CircuitscopeError `no_template` for weights that are no stack of convolutions
 */
export function printTemplate(options: { readonly model: string; readonly json: boolean }, io: Io): void {
  const path = resolve(io.cwd, options.model);
  const template = convnetTemplate(openCheckpoint(path, { config: null }));
  if (!template) {
    throw new CircuitscopeError(
      'no_template',
      `${path} is no bare stack of convolutions, norms and linear layers, so no layers can be drafted; see \`circuitscope model inspect\`.`,
      { at: path },
    );
  }
  const { config, assumed } = template;
  const document = {
    kind: 'model_template',
    version: 1,
    config: JSON.parse(JSON.stringify(config)),
    assumed: [...assumed],
  };
  print(io, options, document, () => JSON.stringify(config, null, 2));
  for (const each of assumed) note(io, `assumed: ${each}`);
}
