import { type Model, viewModel } from '@circuitscope/core/architectures';
import { choice, withDefault } from './options/index.ts';

/** The `--view` of commands that compare numbers of the stream: see core/architectures/README.md. */
export const viewOption = withDefault(
  choice(
    ['raw', 'folded'] as const,
    'numbers as the authors run it, or with norms folded into the weights behind them and writers centred',
  ),
  'raw',
);

/** The view of a model that the option names; the raw one is the model itself. */
export const viewed = (model: Model, view: 'raw' | 'folded'): Model =>
  view === 'raw' ? model : viewModel(model, view);
