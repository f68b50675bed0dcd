import type { Contender, OutputRow } from '@circuitscope/core/bench';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../io.ts';
import { type PeerProcess, startPeer } from './peer-process.ts';
import type { Peer } from './peers.ts';

function decoded(text: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(text, 'base64')).buffer;
}

function start(peer: Peer, io: Io, threads: number): PeerProcess {
  const launch = peer.launch(io, threads);
  if (launch.kind === 'here') return startPeer(peer.name, launch.command, io.signal);
  throw new CircuitscopeError('peer_failed', `${peer.name} cannot take part: ${launch.reason}.`, { at: '--peers' });
}

/**
 * Another program as one who takes part, one process for each number of threads, driven line by line.
 * @throws CircuitscopeError `peer_failed` where it is not here
 */
export async function peerContender(peer: Peer, io: Io): Promise<Contender> {
  const trial = start(peer, io, 1);
  const { version, settings = {} } = await trial.ask({ kind: 'hello' }).finally(trial.stop);
  const { threads: _, ...said } = settings;
  const { name, families, bf16, packing, output, timed } = peer;
  return {
    name,
    ...(version === undefined ? {} : { version }),
    settings: { ...said, timed },
    output,
    packing,
    plays: ({ dtype, family, sizes, packings }) =>
      families.includes(family) &&
      (dtype === 'f32' || (bf16 && family === 'matmul' && sizes.m === 1)) &&
      // Who can do both shows packing apart only where that is asked for.
      (!name.includes(', packing') || packings.includes('inside')),
    async prepare({ family, sizes, dtype, inputs }, { threads, regime, coldBytes }) {
      const worker = start(peer, io, threads);
      const { prepared, settings, output } = await worker
        .ask({ kind: 'prepare', family, sizes, dtype, entries: inputs[0]?.entries ?? 'uniform' })
        .catch((error: unknown) => {
          worker.stop();
          throw error;
        });
      if (prepared !== true) {
        worker.stop();
        throw new CircuitscopeError('peer_failed', `${name} has no such operation.`, { at: name, got: family });
      }
      return {
        ...(settings === undefined ? {} : { settings }),
        ...(output === undefined ? {} : { output }),
        async block(samples, warmUp) {
          const cold = regime === 'cold' ? coldBytes : 0;
          return (await worker.ask({ kind: 'block', samples, warmUp, coldBytes: cold })).ns ?? [];
        },
        async rows(rows) {
          const { values = [], indices } = await worker.ask({ kind: 'rows', rows });
          return rows.map((row, at): OutputRow => {
            const found = indices?.[at];
            return {
              row,
              values: new Float32Array(decoded(values[at] ?? '')),
              ...(found === undefined ? {} : { indices: new Int32Array(decoded(found)) }),
            };
          });
        },
        release: worker.stop,
      };
    },
  };
}
