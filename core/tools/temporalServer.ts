import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcess } from '../process/childProcess.ts';
import { freePort } from './freePort.ts';
import { startServer, type RunningServer } from './server.ts';

export interface TemporalServerOptions {
  /** Path of the Temporal CLI. */
  readonly program: string;
  /** Holds the log, and the database file where `persistent`; made when missing. */
  readonly directory: string;
  /** Unset: a free one. */
  readonly port?: number | undefined;
  /** Port of the Web UI. Unset: a free one. `false`: no Web UI. */
  readonly uiPort?: number | false | undefined;
  /** Keep workflows in a SQLite file over restarts; otherwise they live in memory. Default true. */
  readonly persistent?: boolean;
  readonly keepRunning?: boolean;
}

export interface TemporalServer extends RunningServer {
  readonly address: string;
  readonly namespace: string;
  /** Base address of the Web UI, where there is one. */
  readonly uiUrl: string | undefined;
  readonly port: number;
  readonly uiPort: number | undefined;
}

const HOST = '127.0.0.1';
const NAMESPACE = 'default';
const READY_TIMEOUT = 60_000;

/**
 * Starts Temporal's development server on the loopback interface and waits until its namespace answers.
 * Rejects with `TemporalUnreachable` where it does not come up.
 */
export async function startTemporal(options: TemporalServerOptions): Promise<TemporalServer> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const port = options.port ?? (await freePort());
  const uiPort = options.uiPort === false ? undefined : (options.uiPort ?? (await freePort()));
  const address = `${HOST}:${port}`;
  // Whoever runs this may have a Temporal profile for quite another server in their home directory.
  const environment = { HOME: options.directory };
  const server = await startServer({
    name: 'The Temporal server',
    command: options.program,
    args: [
      'server',
      'start-dev',
      `--ip=${HOST}`,
      `--port=${port}`,
      '--log-level=warn',
      uiPort === undefined ? '--headless' : `--ui-port=${uiPort}`,
      ...((options.persistent ?? true) ? [`--db-filename=${join(options.directory, 'temporal.sqlite')}`] : []),
    ],
    environment,
    workingDirectory: options.directory,
    logFile: join(options.directory, 'temporal.log'),
    stopSignal: 'SIGTERM',
    keepRunning: options.keepRunning,
    ready: () => answers(options.program, address, environment),
    readyTimeout: READY_TIMEOUT,
    errorType: 'TemporalUnreachable',
  });
  const uiUrl = uiPort === undefined ? undefined : `http://${HOST}:${uiPort}`;
  return { ...server, address, namespace: NAMESPACE, uiUrl, port, uiPort };
}

async function answers(program: string, address: string, environment: Record<string, string>): Promise<boolean> {
  return readProcess({
    command: program,
    args: ['operator', 'namespace', 'describe', '--namespace', NAMESPACE, '--address', address],
    environment,
    stallTimeout: 5_000,
  }).then(
    () => true,
    () => false,
  );
}
