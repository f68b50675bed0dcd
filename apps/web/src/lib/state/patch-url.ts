// What the address of a patching page says: two prompts, two answers, which places and which way round.

import { PatchMetric } from '@circuitscope/schema';
import { PATCH_GRIDS, type PatchRequest } from '../live/patch.ts';

export interface PatchView extends PatchRequest {
  /** Which of the grids is drawn. */
  readonly place: number;
  /** It was run: whoever opens the address sees the result. */
  readonly run: boolean;
}

/** Whatever an address holds that is not understood is left out; `start` is what a page begins with. */
export function readPatchView(params: URLSearchParams, start: PatchRequest): PatchView {
  const text = (name: 'clean' | 'corrupt' | 'answer' | 'wrong', most: number) =>
    (params.get(name) ?? start[name]).slice(0, most);
  const place = params.get('place') ?? '';
  return {
    clean: text('clean', 4000),
    corrupt: text('corrupt', 4000),
    answer: text('answer', 200),
    wrong: text('wrong', 200),
    grid: PATCH_GRIDS.find(({ value }) => value === params.get('grid'))?.value ?? start.grid,
    direction: params.get('direction') === 'noise' ? 'noise' : 'denoise',
    metric: PatchMetric.options.find((one) => one === params.get('metric')) ?? start.metric,
    place: /^\d$/.test(place) ? Number(place) : 0,
    run: params.get('run') === '1',
  };
}

export function writePatchView(view: PatchView): string {
  const { clean, corrupt, answer, wrong, grid, direction, metric, place, run } = view;
  const params = new URLSearchParams({ clean, corrupt, answer, wrong, grid, direction, metric });
  if (place !== 0) params.set('place', String(place));
  if (run) params.set('run', '1');
  return `?${params}`;
}

/** The same question for a terminal, quoted for a POSIX shell. */
export function patchCommand(source: string, request: PatchRequest): string {
  const { clean, corrupt, answer, wrong, grid, direction, metric } = request;
  const options = { model: source, clean, corrupt, answer, wrong, grid, direction, metric };
  return `circuitscope model patch${Object.entries(options)
    .map(([name, value]) => ` --${name}${value.startsWith('-') ? '=' : ' '}${quoted(value)}`)
    .join('')}`;
}

const quoted = (text: string): string => (/^[\w./:=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
