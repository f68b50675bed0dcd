import { decompose, edgesOf } from '@circuitscope/core';
import { zooMembers } from '@circuitscope/zoo';
import { command } from '../../command.ts';
import { print, styleFor, table } from '../../output/index.ts';

export const list = command({
  summary: 'the models whose circuits are known, and what is true of them',
  options: {},
  examples: [{ line: 'circuitscope zoo list', about: 'every member, to be opened as zoo:NAME' }],
  run: async (options, io) => {
    const rows = zooMembers.map((member) => {
      const model = member.model();
      const edges = edgesOf(decompose(model.graph)).length;
      const truth = member.truth.map(({ ablation, metric, edges: known }) => ({
        ablation,
        metric,
        edges: known.length,
      }));
      const { layers, heads, width } = model.spec;
      return { name: member.name, title: member.title, made: member.made, layers, heads, width, edges, truth };
    });
    print(io, options, { kind: 'zoo', version: 1, members: rows }, () =>
      table(
        [
          { title: 'zoo:' },
          { title: 'layers × heads' },
          { title: 'width' },
          { title: 'edges' },
          { title: 'true edges' },
        ],
        rows.map(({ name, layers, heads, width, edges, truth }) => [
          name,
          `${layers} × ${heads}`,
          String(width),
          String(edges),
          truth.map((one) => `${one.edges} (${one.ablation}, ${one.metric})`).join(', ') || 'none written down',
        ]),
        styleFor(io),
      ),
    );
  },
});
