import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { BackupResult } from '../core/backup/run.ts';
import { databaseUrl, PASSWORD, S3_CREDENTIALS, type Servers } from './servers.ts';

/** All that the benchmark knows of Holdfast's commands: `holdfast worker`, `holdfast backup`, and their configuration. */

export interface HoldfastPlan {
  readonly source: 'large' | 'empty';
  readonly backends: 1 | 2 | 3;
  /** Names one more backend, at an address where nobody listens. */
  readonly oneDown?: true;
  readonly jobs: number;
  readonly inventory: 'fingerprints' | 'counts' | 'off';
}

export interface Installation {
  readonly directory: string;
  readonly configuration: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface RunningWorker {
  readonly pid: number;
  close(): Promise<void>;
}

const BIN = fileURLToPath(new URL('../client/bin.js', import.meta.url));
/** Bundles the workflows ahead; a worker that has to do it itself holds that memory for long. */
const BUILD = fileURLToPath(new URL('../scripts/build.ts', import.meta.url));
const READY_TIMEOUT = 120_000;
const STOP_TIMEOUT = 60_000;
/** Exit code of a backup that is usable and lacks a copy. */
const DEGRADED = 3;

export function planName({ source, backends, oneDown, jobs, inventory }: HoldfastPlan): string {
  return `${source}-${backends}${oneDown ? '-down' : ''}-jobs${jobs}-${inventory}`;
}

/** Writes configuration and keys, and makes the directories and buckets that they name. */
export async function installHoldfast(
  servers: Servers,
  directory: string,
  databases: Readonly<Record<HoldfastPlan['source'], string>> & { readonly catalog: string },
  plans: readonly HoldfastPlan[],
  level: number,
): Promise<Installation> {
  await rm(directory, { recursive: true, force: true });
  for (const name of ['spool', 'local']) await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
  const buckets = ['bench-one', 'bench-two'] as const;
  for (const bucket of buckets) await mkdir(join(servers.s3.bucketsDirectory, bucket), { recursive: true });

  const { privateKey } = generateKeyPairSync('ed25519');
  const secrets = {
    'seal.key': randomBytes(32).toString('base64'),
    'sign.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  for (const [name, text] of Object.entries(secrets)) await writeFile(join(directory, name), text, { mode: 0o600 });

  const source = (name: string) => ({
    database: {
      host: servers.postgres.host,
      port: servers.postgres.port,
      name,
      user: servers.postgres.user,
      password: { env: 'BENCH_PGPASSWORD' },
      sslmode: 'disable',
    },
  });
  const bucket = (name: string) => ({
    type: 's3',
    provider: 'generic',
    endpoint: servers.s3.endpoint,
    region: servers.s3.region,
    bucket: name,
    accessKeyId: { env: 'BENCH_S3_ID' },
    secretAccessKey: { env: 'BENCH_S3_SECRET' },
  });
  const configuration = {
    catalog: { url: { env: 'BENCH_CATALOG_URL' } },
    temporal: { address: servers.temporal.address, namespace: servers.temporal.namespace },
    spool: { path: join(directory, 'spool') },
    keys: {
      seal: { type: 'aes-256', key: { file: join(directory, 'seal.key') } },
      sign: { type: 'ed25519', privateKey: { file: join(directory, 'sign.pem') } },
    },
    backends: {
      local: { type: 'local', path: join(directory, 'local') },
      one: bucket(buckets[0]),
      two: bucket(buckets[1]),
      down: { ...bucket(buckets[1]), endpoint: 'http://127.0.0.1:9' },
    },
    sources: { large: source(databases.large), empty: source(databases.empty) },
    plans: Object.fromEntries(
      plans.map((plan) => [
        planName(plan),
        {
          source: plan.source,
          kind: 'database',
          tier: 'daily',
          backends: backendsOf(plan),
          copies: { required: plan.backends },
          encryptTo: ['seal'],
          compression: { type: 'zstd', level },
          jobs: plan.jobs,
          inventory: plan.inventory,
          // How long it is tried again is a choice; what is measured is what it costs the others.
          ...(plan.oneDown && { uploads: { retryFor: '0s' } }),
          floors: { allowEmpty: plan.source === 'empty' },
        },
      ]),
    ),
  };
  const file = join(directory, 'holdfast.yaml');
  await writeFile(file, stringify(configuration));
  return {
    directory,
    configuration: file,
    environment: {
      PATH: process.env.PATH ?? '',
      HOME: directory,
      BENCH_PGPASSWORD: PASSWORD,
      BENCH_S3_ID: S3_CREDENTIALS.accessKeyId,
      BENCH_S3_SECRET: S3_CREDENTIALS.secretAccessKey,
      BENCH_CATALOG_URL: databaseUrl(servers, databases.catalog),
    },
  };
}

function backendsOf({ backends, oneDown }: HoldfastPlan): string[] {
  return [...['local', 'one', 'two'].slice(0, backends), ...(oneDown ? ['down'] : [])];
}

/** Starts `holdfast worker` and waits for its line that says it is ready. With `profile`, Node writes a CPU profile there. */
export async function startWorker(installation: Installation, profile: string | undefined): Promise<RunningWorker> {
  await promisify(execFile)(process.execPath, [BUILD]);
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const child = spawn(process.execPath, [...profiling, BIN, '--config', installation.configuration, 'worker'], {
    env: installation.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const log = join(installation.directory, 'worker.log');
  await waitUntilReady(child, log);
  const { pid } = child;
  if (pid === undefined) throw new Error('the worker has no process id');
  return {
    pid,
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await Promise.race([ended, sleep(STOP_TIMEOUT, undefined, { ref: false })]);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    },
  };
}

async function waitUntilReady(child: ChildProcess, log: string): Promise<void> {
  const file = createWriteStream(log);
  let text = '';
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        file.write(chunk);
        if (text.length < 100_000) text += chunk.toString('utf8');
        if (/\bready\b/i.test(text)) resolve();
      });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the worker ended with exit code ${code}: ${text.slice(-2_000)}`)));
  });
  const late = sleep(READY_TIMEOUT, undefined, { ref: false }).then(() => {
    throw new Error(`the worker was not ready in time: ${text.slice(-2_000)}`);
  });
  await Promise.race([ready, late]);
}

export interface HoldfastRun {
  /** Wall clock of the whole command, from start to exit. */
  readonly seconds: number;
  readonly result: BackupResult;
}

/** Runs `holdfast backup` to its end and reads its answer; rejects unless every backend that is there has its copy. */
export async function runBackup(installation: Installation, plan: HoldfastPlan): Promise<HoldfastRun> {
  const args = [BIN, '--config', installation.configuration, '--json', 'backup', plan.source, '--plan', planName(plan)];
  const began = process.hrtime.bigint();
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: installation.environment,
    maxBuffer: 64 * 2 ** 20,
  }).catch((cause: unknown) => {
    if (plan.oneDown && (cause as { code?: unknown }).code === DEGRADED) return cause as { stdout: string };
    throw new Error(`holdfast backup failed: ${failureOf(cause)}`, { cause });
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const result = JSON.parse(stdout) as BackupResult;
  const made = result.copies.filter(({ state }) => state === 'verified').length;
  if (made !== plan.backends) throw new Error(`the backup is ${result.state}: ${result.reasons.join('; ')}`);
  return { seconds, result };
}

/** With --json the reason stands on standard output, in one document. */
function failureOf(cause: unknown): string {
  const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
  return (stdout.trim() || stderr.trim() || String(cause)).slice(0, 1_000);
}

/** Removes all copies, so that the disk does not fill up run by run. */
export async function removeCopies(servers: Servers, installation: Installation): Promise<void> {
  const folders = [
    join(installation.directory, 'local'),
    join(servers.s3.bucketsDirectory, 'bench-one'),
    join(servers.s3.bucketsDirectory, 'bench-two'),
  ];
  for (const folder of folders)
    for (const source of ['large', 'empty']) await rm(join(folder, source), { recursive: true, force: true });
  await rm(servers.s3.versionsDirectory, { recursive: true, force: true });
  await mkdir(servers.s3.versionsDirectory, { mode: 0o700 });
}

export async function holdfastVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}
