import { namedGrids, patchTask } from '@circuitscope/core';
import { CircuitscopeError, PatchMetric, type Task } from '@circuitscope/schema';
import { PATCH_GRIDS, type PatchEvent } from '../live/patch.ts';
import { inTurn } from './busy.ts';
import { openKnownDecoder } from './open-models.ts';
import { readText, readToken, spell } from './read-text.ts';

/** A longer prompt has more cells than a page can show. */
const MOST_POSITIONS = 128;

interface Question {
  readonly clean: string;
  readonly corrupt: string;
  readonly answer: string;
  readonly wrong: string;
  readonly grid: string;
  readonly direction: string;
  readonly metric: string;
}

/** Patches every place of a grid between two prompts, and says how far it is. */
export async function patchPrompts(
  name: string,
  question: Question,
  send: (event: PatchEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const grid = PATCH_GRIDS.find(({ value }) => value === question.grid)?.value;
  const direction = (['denoise', 'noise'] as const).find((one) => one === question.direction);
  const metric = PatchMetric.options.find((one) => one === question.metric);
  if (grid === undefined || direction === undefined || metric === undefined) {
    throw new CircuitscopeError('invalid_record', 'The grid, the direction or the metric is none that this page has.', {
      expected: `${PATCH_GRIDS.map(({ value }) => value).join(', ')}; denoise, noise; ${PatchMetric.options.join(', ')}`,
      got: [question.grid, question.direction, question.metric].map((text) => text.slice(0, 40)).join('; '),
    });
  }
  const open = await openKnownDecoder(name);
  const [clean, corrupt] = [readText(open, question.clean), readText(open, question.corrupt)];
  if (clean.length !== corrupt.length || clean.length === 0 || clean.length > MOST_POSITIONS) {
    throw new CircuitscopeError(
      'bad_task',
      `The clean prompt has ${clean.length} tokens and the corrupt one ${corrupt.length}; they must have equally many, from 1 to ${MOST_POSITIONS}, to pair up position by position.`,
    );
  }
  const answer = readToken(open, question.answer, 'answer');
  const wrongAnswer = readToken(open, question.wrong, 'wrong answer');
  const ids = new Set([...clean, ...corrupt, answer, wrongAnswer]);
  const task: Task = {
    kind: 'task',
    version: 1,
    name: 'prompts of a page',
    tokenStrings: Object.fromEntries([...ids].map((id) => [String(id), spell(open, id)])),
    examples: [{ clean, corrupt, answer, wrongAnswer }],
    metric: { kind: 'logit_diff' },
  };
  send({ kind: 'progress', share: 0, leftMs: null });
  await inTurn(
    signal,
    async () => {
      const start = performance.now();
      const patching = await patchTask(open.engine, open.model, {
        task,
        how: 'given',
        seeds: [],
        source: open.known.source,
        grids: namedGrids(open.model.graph, grid),
        direction,
        metric,
        run: {
          signal,
          onProgress: (share) => {
            const spent = performance.now() - start;
            send({ kind: 'progress', share, leftMs: share > 0 ? (spent * (1 - share)) / share : null });
          },
        },
      });
      send({ kind: 'patching', patching, wallTimeMs: performance.now() - start });
    },
    'long',
  );
}
