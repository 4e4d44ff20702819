import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import type { Configuration } from '../core/config/schema.ts';
import { HoldfastError } from '../core/errors.ts';
import { bringTemporalCli } from '../core/tools/temporalCli.ts';
import { startTemporal } from '../core/tools/temporalServer.ts';
import { temporalTarget } from './connection.ts';

export interface EmbeddedOptions {
  readonly configuration: Configuration;
  /** Unset: `temporal`, beside the spool. */
  readonly stateDirectory: string | undefined;
  readonly say: (text: string) => void;
}

export interface EmbeddedServer {
  /** The configuration with the server's address in it. */
  readonly configuration: Configuration;
  readonly uiUrl: string | undefined;
}

/**
 * Runs Temporal's development server, with its Web UI and a SQLite file that outlives it, for as long as `use` takes.
 * It listens where the configuration expects it, on the loopback interface only.
 */
export async function withEmbeddedServer<Result>(
  { configuration, stateDirectory, say }: EmbeddedOptions,
  use: (server: EmbeddedServer) => Promise<Result>,
): Promise<Result> {
  const { address } = await temporalTarget(configuration);
  const port = loopbackPort(address);
  await refuseTakenPort(port);
  const program = await bringTemporalCli(process.env, say);
  const directory = path.resolve(stateDirectory ?? path.join(path.dirname(configuration.spool.path), 'temporal'));
  const server = await startTemporal({ program, directory, port, uiPort: port + 1000 });
  try {
    return await use({
      configuration: {
        ...configuration,
        temporal: { ...configuration.temporal, address: server.address, uiUrl: server.uiUrl },
      },
      uiUrl: server.uiUrl,
    });
  } finally {
    await server.close();
  }
}

/** Whoever answers there already would be taken for the server that is started here. */
async function refuseTakenPort(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  const taken = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  if (!taken) return;
  throw new HoldfastError('InvalidInput', `Something listens on port ${port} already.`, {
    advice:
      'If it is a Temporal server, run `holdfast worker` without --embedded; else set another port in temporal.address.',
  });
}

function loopbackPort(address: string): number {
  const colon = address.lastIndexOf(':');
  const port = Number(address.slice(colon + 1));
  if (['127.0.0.1', 'localhost'].includes(address.slice(0, colon)) && Number.isInteger(port)) return port;
  throw new HoldfastError(
    'InvalidConfiguration',
    `--embedded cannot serve ${address}: it listens on this machine only.`,
    {
      advice: 'Leave out --embedded to work for that server, or remove temporal.address (and TEMPORAL_ADDRESS).',
    },
  );
}
