import { CircuitscopeError } from '@circuitscope/schema';
import { command } from '../command.ts';
import { flag, integer, list, shared, text, withDefault } from '../options/index.ts';
import { FIRST_PORT, serveDashboard } from '../serve/serve-dashboard.ts';

export const serve = command({
  summary: 'show the workspace in a browser',
  details:
    'Serves the dashboard until Ctrl-C. Only this machine can reach it: anyone who can open the page can read the workspace and compute here, so another --host must be meant, with --expose.',
  options: {
    host: withDefault(text('ADDRESS', 'address to listen on'), '127.0.0.1'),
    port: integer('N', `port (default: ${FIRST_PORT}, or the next that is free)`, { min: 1, max: 65_535 }),
    expose: flag('allow a --host that other machines can reach'),
    model: list('PATH|zoo:NAME,…', 'models of yours, for the pages about models'),
    training: text('DIR', 'folder with trainings of your own, whose curves are shown as they grow'),
    bench: text('DIR', 'folder with files of bench kernels --out, shown beside those kept in the workspace'),
    workspace: shared.workspace,
  },
  examples: [
    { line: 'circuitscope serve', about: `http://127.0.0.1:${FIRST_PORT}, the workspace in ./.circuitscope` },
    { line: 'circuitscope serve --workspace results --port 8080', about: 'another folder and port' },
    { line: 'circuitscope serve --model ./gpt2', about: 'with pages that read prompts, patch and generate with it' },
    { line: 'circuitscope serve --training trained', about: 'with the curves of what `train` is making' },
  ],
  run: async (options, io) => {
    const { host, expose } = options;
    if (!isLoopback(host) && !expose) {
      throw new CircuitscopeError(
        'exposed',
        `${host} can be reached by other machines, who could then read the workspace and compute here; add --expose if that is meant.`,
        { at: '--host', got: host },
      );
    }
    await serveDashboard({ ...options, models: options.model }, io);
  },
});

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
