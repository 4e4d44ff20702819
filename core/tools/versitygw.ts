import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { freePort } from './freePort.ts';
import { buildGoProgram } from './goBuild.ts';
import { findOnPath, firstExecutable, programCache, type Environment } from './programPath.ts';
import type { Say } from './say.ts';
import { startServer, type RunningServer } from './server.ts';

const VERSION = 'v1.7.0';
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
  const named = environment['VERSITYGW_PATH'];
  if (named) return named;
  return (await findOnPath('versitygw', environment)) ?? (await firstExecutable([await builtProgram(environment)]));
}

/** As `findVersitygw`, but builds it with Go first where it is missing. Rejects with `ToolMissing`. */
export async function bringVersitygw(environment: Environment, say: Say): Promise<string> {
  const found = await findVersitygw(environment);
  if (found !== undefined) return found;
  if ((await findOnPath('go', environment)) === undefined) throw missing();
  const target = await builtProgram(environment);
  say(`versitygw ${VERSION}, a small S3 server, is not here yet: building it with Go, once, about 2 minutes ...`);
  await buildGoProgram(
    {
      module: `module holdfast.tools/versitygw\n\ngo 1.24\n\nrequire github.com/versity/versitygw ${VERSION}\n`,
      package: 'github.com/versity/versitygw/cmd/versitygw',
    },
    target,
    environment,
  ).catch((cause: unknown) => {
    throw missing(cause);
  });
  return target;
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

async function builtProgram(environment: Environment): Promise<string> {
  return join(await programCache(environment), 'versitygw');
}

async function isHealthy(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
    (response) => response.ok,
    () => false,
  );
}

function missing(cause?: unknown): HoldfastError {
  return new HoldfastError(
    'ToolMissing',
    'versitygw, the S3 server of the demo and the tests, is not on this machine',
    {
      advice:
        `Install Go 1.24 or newer and try again, or put versitygw ${VERSION} on PATH or into VERSITYGW_PATH ` +
        '(https://github.com/versity/versitygw/releases).',
      cause,
    },
  );
}
