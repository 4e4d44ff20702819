import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './freePort.ts';
import { bringGoTool, findGoTool, type GoTool } from './goTool.ts';
import type { Environment } from './programPath.ts';
import type { Say } from './say.ts';
import { startServer, type RunningServer } from './server.ts';

const VERSITYGW: GoTool = {
  program: 'versitygw',
  variable: 'VERSITYGW_PATH',
  what: 'versitygw, the S3 server of the demo and the tests',
  module: 'github.com/versity/versitygw',
  version: 'v1.7.0',
  package: 'github.com/versity/versitygw/cmd/versitygw',
  go: '1.24',
  takes: 'about 2 minutes',
  releases: 'https://github.com/versity/versitygw/releases',
};
const READY_TIMEOUT = 30_000;

export interface VersitygwOptions {
  readonly program: string;
  /** Holds buckets, versions and the log; made when missing. */
  readonly directory: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Unset: a free one. */
  readonly port?: number | undefined;
  readonly keepRunning?: boolean;
}

export interface VersitygwServer extends RunningServer {
  readonly endpoint: string;
  readonly region: string;
  readonly port: number;
  /** Each bucket is a folder in here, and one in `versionsDirectory`. */
  readonly bucketsDirectory: string;
  readonly versionsDirectory: string;
}

/** The program: VERSITYGW_PATH, PATH, then what an earlier run built. Undefined when none has it. */
export async function findVersitygw(environment: Environment): Promise<string | undefined> {
  return findGoTool(VERSITYGW, environment);
}

/** As `findVersitygw`, but builds it with Go first where it is missing. Rejects with `ToolMissing`. */
export async function bringVersitygw(environment: Environment, say: Say): Promise<string> {
  return bringGoTool(VERSITYGW, environment, say);
}

/**
 * Starts versitygw, a real S3 server over a directory, with bucket versioning.
 * Rejects with `BackendUnreachable` where it does not come up.
 */
export async function startVersitygw(options: VersitygwOptions): Promise<VersitygwServer> {
  const bucketsDirectory = join(options.directory, 'buckets');
  const versionsDirectory = join(options.directory, 'versions');
  await mkdir(bucketsDirectory, { recursive: true, mode: 0o700 });
  await mkdir(versionsDirectory, { recursive: true, mode: 0o700 });
  const port = options.port ?? (await freePort());
  const endpoint = `http://127.0.0.1:${port}`;
  const region = 'us-east-1';
  const server = await startServer({
    name: 'versitygw',
    command: options.program,
    args: [
      `--port=127.0.0.1:${port}`,
      `--region=${region}`,
      '--health=/health',
      '--quiet',
      'posix',
      `--versioning-dir=${versionsDirectory}`,
      bucketsDirectory,
    ],
    environment: { ROOT_ACCESS_KEY: options.accessKeyId, ROOT_SECRET_KEY: options.secretAccessKey },
    workingDirectory: options.directory,
    logFile: join(options.directory, 'versitygw.log'),
    stopSignal: 'SIGTERM',
    keepRunning: options.keepRunning,
    ready: () => isHealthy(`${endpoint}/health`),
    readyTimeout: READY_TIMEOUT,
    errorType: 'BackendUnreachable',
  });
  return { ...server, endpoint, region, port, bucketsDirectory, versionsDirectory };
}

async function isHealthy(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
    (response) => response.ok,
    () => false,
  );
}
