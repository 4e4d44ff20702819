import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, messageOf } from '../errors.ts';
import { readProcess } from '../process/childProcess.ts';
import { freePort } from './freePort.ts';
import { startServer, type RunningServer, type SystemUser } from './server.ts';

export interface PostgresOptions {
  /** Holds the data directory, the password and the log; made when missing, used again when it has them. */
  readonly directory: string;
  readonly binDirectory: string;
  /** Of the superuser `postgres`. Taken when the data directory is made; later starts keep it. */
  readonly password: string;
  /** Unset: a free one. */
  readonly port?: number | undefined;
  /** Without durability a crash of the machine loses the data directory. For tests only. */
  readonly durable?: boolean;
  /** More `name=value` settings for this start. */
  readonly settings?: readonly string[];
  readonly keepRunning?: boolean;
}

export interface PostgresServer extends RunningServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly binDirectory: string;
}

const HOST = '127.0.0.1';
const SUPERUSER = 'postgres';
const READY_TIMEOUT = 60_000;

/**
 * Starts a PostgreSQL server of our own: loopback only, SCRAM passwords for everyone, no Unix socket. As root it runs
 * under the account `postgres`, because initdb and postgres refuse root.
 * Rejects with `ToolMissing` where initdb fails, `SourceUnreachable` where the server does not come up.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const user = await serverAccount();
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  if (user) await chown(options.directory, user.uid, user.gid);
  const data = join(options.directory, 'data');
  if (!(await isInitialised(data))) await initialise(options, data, user);

  const port = options.port ?? (await freePort());
  const server = await startServer({
    name: 'PostgreSQL',
    command: join(options.binDirectory, 'postgres'),
    args: ['-D', data, ...serverSettings(port, options).flatMap((setting) => ['-c', setting])],
    workingDirectory: options.directory,
    logFile: join(options.directory, 'postgres.log'),
    user,
    // PostgreSQL's "fast shutdown": sessions are ended, nothing is lost.
    stopSignal: 'SIGINT',
    keepRunning: options.keepRunning,
    ready: () => isReady(options.binDirectory, port),
    readyTimeout: READY_TIMEOUT,
    errorType: 'SourceUnreachable',
  });
  return { ...server, host: HOST, port, user: SUPERUSER, binDirectory: options.binDirectory };
}

/** The account a server must run as: undefined when this process may run it itself. */
export async function serverAccount(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = await readFile('/etc/passwd', 'utf8');
  for (const name of [SUPERUSER, 'nobody']) {
    const entry = accounts.split('\n').find((line) => line.startsWith(`${name}:`));
    const [, , uid, gid] = entry?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new HoldfastError('ToolMissing', 'PostgreSQL refuses to run as root, and this machine has no other account', {
    advice: 'Make one: `useradd --system postgres`.',
  });
}

async function isInitialised(data: string): Promise<boolean> {
  return readFile(join(data, 'PG_VERSION')).then(
    () => true,
    () => false,
  );
}

async function initialise(options: PostgresOptions, data: string, user: SystemUser | undefined): Promise<void> {
  const passwordFile = join(options.directory, 'password');
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
  if (user) await chown(passwordFile, user.uid, user.gid);
  try {
    await readProcess({
      command: join(options.binDirectory, 'initdb'),
      args: [
        `--pgdata=${data}`,
        `--username=${SUPERUSER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--no-locale',
        '--no-sync',
        '--no-instructions',
      ],
      workingDirectory: options.directory,
      user,
    });
  } catch (cause) {
    await rm(data, { recursive: true, force: true });
    throw new HoldfastError('ToolMissing', `initdb could not make ${data}: ${messageOf(cause)}`, {
      advice: 'The account that runs PostgreSQL must be able to reach and write this directory.',
      cause,
    });
  } finally {
    await rm(passwordFile);
  }
}

function serverSettings(port: number, options: PostgresOptions): string[] {
  const hurried = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];
  return [
    `port=${port}`,
    `listen_addresses=${HOST}`,
    'unix_socket_directories=',
    ...((options.durable ?? true) ? [] : hurried),
    ...(options.settings ?? []),
  ];
}

async function isReady(binDirectory: string, port: number): Promise<boolean> {
  return readProcess({
    command: join(binDirectory, 'pg_isready'),
    args: ['--quiet', '--host', HOST, '--port', String(port)],
  }).then(
    () => true,
    () => false,
  );
}
