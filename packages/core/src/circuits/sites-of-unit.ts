import { CircuitscopeError, type Site, type UnitRef, unitLabel } from '@circuitscope/schema';
import { attentionSite, blockSite, type Graph, inputSites, listSites } from '../graph/index.ts';

/** The sites that hold what a unit writes; heads are kept as z, d_head wide instead of d_model. */
export function sitesOfUnit(graph: Graph, unit: UnitRef): readonly Site[] {
  switch (unit.kind) {
    case 'input': {
      const known = new Set(listSites(graph).map(({ site }) => site));
      return inputSites((site) => known.has(site), unit.stack);
    }
    case 'head':
      return [`${attentionSite(unit)}.hook_z`];
    case 'mlp':
      return [`${blockSite(unit)}.hook_mlp_out`];
    default:
      throw new CircuitscopeError(
        'unsupported_unit',
        `Edges can start at the input, a head or an MLP, not at ${unitLabel(unit)}.`,
        { got: unitLabel(unit) },
      );
  }
}
