import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import type { z } from 'zod';
import type { ErrorReport } from '../../client/terminal.ts';
import type { BackupResult } from '../../core/backup/run.ts';
import { withCatalog, type Catalog } from '../../core/catalog/catalog.ts';
import type { configurationSchema } from '../../core/config/schema.ts';
import { startServer, type RunningServer } from '../../core/tools/server.ts';
import { HOLDFAST, startHoldfast, type CommandResult, type RunningCommand } from './commandLine.ts';
import { temporaryDirectory, type Scope } from './directories.ts';
import { bucketStore, directoryStore, type Store } from './objects.ts';
import { createBucket, createDatabase, testS3, testTemporal, type TestDatabase } from './servers.ts';

export type Settings = z.input<typeof configurationSchema>;

/** A whole little application with a Holdfast of its own: database, trees, storages, keys, catalog, configuration. */
export interface Application {
  /** Holds holdfast.yaml and everything it names. */
  readonly home: string;
  /** Change it, then `save`; a worker that runs has the old one. */
  readonly settings: Settings & { temporal: { taskQueue: string } };
  save(): Promise<void>;
  readonly database: TestDatabase;
  readonly catalogDatabase: TestDatabase;
  /** The backends `local`, `near` and `far`, looked at past Holdfast. */
  readonly stores: { readonly local: Store; readonly near: Store; readonly far: Store };
  readonly trees: { readonly media: string; readonly config: string };
  readonly spool: string;
  /** Where the worker and its children put temporary files. */
  readonly temporary: string;
  /** Runs ./holdfast with the configuration to its end. */
  holdfast(...args: string[]): Promise<CommandResult>;
  /** The same, with --json, and its document read. */
  ask(...args: string[]): Promise<Answer<unknown>>;
  /** `holdfast backup --json ...` to its end. */
  backup(...args: string[]): Promise<Answer<BackupDocument>>;
  start(...args: string[]): RunningCommand;
  startWorker(options?: WorkerOptions): Promise<RunningWorker>;
  writeSecret(name: string, value: string): Promise<{ file: string }>;
  temporal(): Promise<Client>;
  useCatalog<Result>(use: (catalog: Catalog) => Promise<Result>): Promise<Result>;
  /** Bytes of ciphertext in the spool. */
  spooledBytes(): Promise<number>;
  /** What Holdfast left in the spool (beside its identity) and in the directory for temporary files. */
  leftBehind(): Promise<string[]>;
}

export interface Answer<Document> {
  readonly code: number | null;
  readonly document: Document;
  readonly stderr: string;
}

/** What `holdfast backup --json` prints, of a run that came to a result. */
export interface BackupDocument extends BackupResult {
  readonly workflowId: string;
  readonly runId: string;
  readonly link: string;
  /** Of a failed run. */
  readonly error?: ErrorReport;
}

export interface WorkerOptions {
  /** Before the command, e.g. `--verbose`. */
  readonly arguments?: readonly string[];
  /** Of the command, e.g. `--embedded`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Path of a spool of its own, as a worker on another host has. */
  readonly spool?: string;
}

export interface RunningWorker extends RunningServer {
  log(): Promise<string>;
}

const WORKER_READY_TIMEOUT = 60_000;

export interface ApplicationOptions {
  /** For the worker and the commands alike. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function createApplication(scope: Scope, options: ApplicationOptions = {}): Promise<Application> {
  const home = await temporaryDirectory(scope);
  const database = await createDatabase(scope);
  const catalogDatabase = await createDatabase(scope);
  const [nearBucket, farBucket] = [await createBucket(scope), await createBucket(scope)];
  const directories = ['copies', 'media', 'config', 'temporary', 'secrets'] as const;
  for (const name of directories) await mkdir(join(home, name), { mode: 0o700 });
  const writeSecret = async (name: string, value: string) => {
    const file = join(home, 'secrets', name);
    await writeFile(file, value, { mode: 0o600 });
    return { file };
  };
  const config = join(home, 'holdfast.yaml');
  const settings = await firstSettings({ home, database, catalogDatabase, nearBucket, farBucket, writeSecret });
  const save = () => writeFile(config, stringify(settings), { mode: 0o600 });
  await save();
  let client: Promise<Client> | undefined;
  const environment = { TMPDIR: join(home, 'temporary'), ...options.environment };
  let workers = 0;

  const start = (...args: string[]) => {
    const command = startHoldfast(['--config', config, ...args], { environment });
    // One that waits for a run that never ends would hold up the whole file.
    scope.after(async () => command.signal('SIGKILL'));
    return command;
  };
  const run = (...args: string[]) => start(...args).ended;
  const ask = async (...args: string[]): Promise<Answer<unknown>> => {
    const { code, stdout, stderr } = await run('--json', ...args);
    return { code, stderr, document: JSON.parse(stdout) };
  };
  return {
    home,
    settings,
    save,
    database,
    catalogDatabase,
    stores: {
      local: directoryStore(join(home, 'copies')),
      near: bucketStore(nearBucket),
      far: bucketStore(farBucket),
    },
    trees: { media: join(home, 'media'), config: join(home, 'config') },
    spool: join(home, 'spool'),
    temporary: join(home, 'temporary'),
    holdfast: run,
    ask,
    backup: async (...args) => {
      const answer = await ask('backup', ...args);
      return { ...answer, document: answer.document as BackupDocument };
    },
    start,
    startWorker: async (how = {}) => {
      workers += 1;
      const logFile = join(home, `worker-${workers}.log`);
      const log = () => readFile(logFile, 'utf8');
      const ownConfig = how.spool === undefined ? config : join(home, `worker-${workers}.yaml`);
      if (how.spool !== undefined) {
        const spool = { ...settings.spool, path: how.spool };
        await writeFile(ownConfig, stringify({ ...settings, spool }), { mode: 0o600 });
      }
      const worker = await startServer({
        name: 'The worker',
        command: HOLDFAST,
        args: ['--config', ownConfig, ...(how.arguments ?? []), 'worker', ...(how.flags ?? [])],
        environment: { HOME: home, ...environment, ...how.environment },
        workingDirectory: home,
        logFile,
        stopSignal: 'SIGTERM',
        ready: async () => (await log()).includes('Worker ready'),
        readyTimeout: WORKER_READY_TIMEOUT,
        errorType: 'TemporalUnreachable',
      });
      scope.after(() => worker.close());
      return { ...worker, log };
    },
    writeSecret,
    temporal: () => (client ??= connectClient(scope, settings.temporal.address ?? testTemporal().address)),
    useCatalog: (use) => withCatalog(urlOf(catalogDatabase), use),
    spooledBytes: () => segmentBytes(join(home, 'spool')),
    leftBehind: async () => {
      const spooled = (await readdir(join(home, 'spool'))).filter((name) => name !== 'id');
      // Tools that bundle workflows leave caches of their own there.
      const temporary = (await readdir(join(home, 'temporary'))).filter((name) => name.startsWith('holdfast-'));
      return [...spooled, ...temporary];
    },
  };
}

async function segmentBytes(spool: string): Promise<number> {
  const entries = await readdir(spool, { recursive: true, withFileTypes: true });
  const files = entries.filter(({ name }) => name.endsWith('.segment'));
  const sizes = await Promise.all(
    files.map(({ parentPath, name }) =>
      stat(join(parentPath, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The connection URL of a database. */
export function urlOf({ host, port, name, user, password }: TestDatabase): string {
  return `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
}

interface Ground {
  readonly home: string;
  readonly database: TestDatabase;
  readonly catalogDatabase: TestDatabase;
  readonly nearBucket: string;
  readonly farBucket: string;
  readonly writeSecret: (name: string, value: string) => Promise<{ file: string }>;
}

async function firstSettings(ground: Ground): Promise<Application['settings']> {
  const { home, database, catalogDatabase, writeSecret } = ground;
  const s3 = testS3();
  const { privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const bucket = async (name: string) => ({
    type: 's3' as const,
    endpoint: s3.endpoint,
    region: s3.region,
    bucket: name,
    accessKeyId: await writeSecret('s3-id', s3.accessKeyId),
    secretAccessKey: await writeSecret('s3-secret', s3.secretAccessKey),
  });
  return {
    catalog: { url: await writeSecret('catalog-url', urlOf(catalogDatabase)) },
    temporal: {
      address: testTemporal().address,
      uiUrl: testTemporal().uiUrl,
      taskQueue: `test-${randomBytes(6).toString('hex')}`,
    },
    spool: { path: join(home, 'spool'), limit: '1GiB', segmentSize: '5MiB' },
    keys: {
      ops: { type: 'aes-256', key: await writeSecret('ops.key', randomBytes(32).toString('base64')) },
      sign: { type: 'ed25519', privateKey: await writeSecret('sign.pem', privateKey) },
    },
    backends: {
      local: { type: 'local', path: join(home, 'copies') },
      near: await bucket(ground.nearBucket),
      far: await bucket(ground.farBucket),
    },
    sources: {
      shop: {
        database: {
          host: database.host,
          port: database.port,
          name: database.name,
          user: database.user,
          password: await writeSecret('database-password', database.password),
        },
        files: { media: { path: join(home, 'media') }, config: { path: join(home, 'config') } },
      },
    },
    plans: {
      shop: {
        source: 'shop',
        backends: ['local', 'near', 'far'],
        copies: { required: 2 },
        encryptTo: ['ops'],
        // An hour, as it is otherwise, would be long for a test that takes a storage away.
        uploads: { retryFor: '10s' },
      },
    },
  };
}

async function connectClient(scope: Scope, address: string): Promise<Client> {
  const { namespace } = testTemporal();
  const connection = await Connection.connect({ address });
  scope.after(() => connection.close());
  return new Client({ connection, namespace });
}
