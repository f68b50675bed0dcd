import { createServer } from 'node:net';
import { CircuitscopeError } from '@circuitscope/schema';

/**
 * The first port from `from` on that can be listened on.
 * @param tries how many ports to look at
 * @throws CircuitscopeError `port_taken`, `bad_host`
 */
export async function freePort(host: string, from: number, tries: number): Promise<number> {
  for (let port = from; port < from + tries && port <= 65_535; port++) {
    const refusal = await tryPort(host, port);
    if (refusal === null) return port;
    if (refusal !== 'EADDRINUSE' && refusal !== 'EACCES') {
      throw new CircuitscopeError(
        'bad_host',
        `This machine cannot listen on ${host} (${refusal}); use one of its own addresses.`,
        { at: '--host', got: host },
      );
    }
  }
  const which = tries === 1 ? `Port ${from} is` : `Ports ${from} to ${from + tries - 1} are`;
  throw new CircuitscopeError('port_taken', `${which} taken on ${host}; choose another with --port.`, {
    at: '--port',
    got: String(from),
  });
}

function tryPort(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
