import type { Model } from '@circuitscope/core';
import { type Cell, diagonal, type HandLayer, handTransformer, range } from '../hand-transformer.ts';
import type { AlignedVariable, Alignment } from './causal-program.ts';
import { type Place, placeVariables } from './place-variables.ts';
import { programTokens } from './program-tokens.ts';
import type { RaspProgram } from './rasp-program.ts';
import { type StreamBlocks, streamBlocks } from './stream-blocks.ts';
import { type WrittenHead, writeHead } from './write-head.ts';
import { type MlpUnit, writeUnits } from './write-units.ts';

// From a program to the weights of a transformer that runs it, after the construction of Lindner et al. 2023 (Tracr).

export interface CompiledProgram {
  readonly model: () => Model;
  readonly alignment: Alignment;
  /** Width of the stream. */
  readonly width: number;
  readonly layers: number;
  /** How many ReLU units each layer uses. */
  readonly units: readonly number[];
}

/** @throws CircuitscopeError `bad_program` where a variable is not defined before its use or has the wrong kind */
export function compileProgram(program: RaspProgram): CompiledProgram {
  const stream = streamBlocks(program);
  const places = placeVariables(program);
  const layers = Math.max(1, ...[...places.values()].map(({ layer }) => layer + 1));
  const heads: WrittenHead[][] = range(layers).map(() => []);
  const units: MlpUnit[][] = range(layers).map(() => []);
  for (const variable of program.variables) {
    const place = places.get(variable.name);
    if (place?.head && 'selector' in variable) heads[place.head.layer]?.push(writeHead(stream, variable));
    if (place) units[place.layer]?.push(...writeUnits(stream, variable));
  }
  const { texts } = programTokens(program);
  return {
    alignment: alignmentOf(program, stream, places),
    width: stream.width,
    layers,
    units: units.map((list) => list.length),
    model: () =>
      handTransformer({
        name: `rasp-${program.name}`,
        width: stream.width,
        headWidth: Math.max(1, ...heads.flat().map((head) => head.width)),
        vocab: texts.length,
        context: program.length + 1,
        embed: [[0, stream.bos, 1], ...diagonal(1, stream.block('tokens').from, program.vocabulary.length)],
        // BOS stands at position 0 and has no index.
        positions: [
          ...range(program.length + 1).map((position): Cell => [position, stream.one, 1]),
          ...diagonal(1, stream.block('indices').from, program.length),
        ],
        layers: heads.map((list, layer): HandLayer => ({ heads: list, mlp: mlpOf(units[layer] ?? []) })),
        unembed: readAnswer(program, stream),
        inner: Math.max(...units.map((list) => list.length)),
        bidirectional: true,
      }),
  };
}

function mlpOf(units: readonly MlpUnit[]): HandLayer['mlp'] & object {
  return {
    in: units.flatMap(({ into }, unit) => into.map(([column, weight]): Cell => [column, unit, weight])),
    out: units.flatMap(({ out }, unit) => out.map(([column, weight]): Cell => [unit, column, weight])),
  };
}

/** The block of the output, column by column, to the logits of what its values are called. */
function readAnswer(program: RaspProgram, stream: StreamBlocks): Cell[] {
  const { from } = stream.block(program.output);
  return programTokens(program).answers.map(({ id }, index) => [from + index, id, 1]);
}

function alignmentOf(program: RaspProgram, stream: StreamBlocks, places: ReadonlyMap<string, Place>): Alignment {
  const at = (name: string, site: string): [string, AlignedVariable] => {
    const { from, to, values } = stream.block(name);
    return [name, { site, units: [from, to], encoding: values.kind }];
  };
  return Object.fromEntries([
    at('tokens', 'hook_embed'),
    at('indices', 'hook_pos_embed'),
    ...program.variables.map(({ name }) => {
      const { kind = 'head', layer = 0 } = places.get(name) ?? {};
      return at(name, `blocks.${layer}.hook_${kind === 'mlp' ? 'mlp' : 'attn'}_out`);
    }),
  ]);
}
