import { setTimeout as delay } from 'node:timers/promises';
import { startProcess, type RunningProcess } from '../process/childProcess.ts';
import { HoldfastError, messageOf } from '../errors.ts';
import { APPLICATION_NAME, connect, describeDatabase, type DatabaseAccess } from './access.ts';
import { dumpIsStuckBehindSnapshot } from './blockers.ts';
import { programPath, type ClientPrograms } from './clients.ts';
import type { DatabaseDumpOptions } from './dump.ts';
import type { ClientEnvironment } from './passwordFile.ts';
import type { Snapshot } from './snapshot.ts';

/** A pg_dump that holds its locks and waits for its reader. */
export interface RunningDump {
  /** `database`, `schema` or `rows-N`. */
  readonly part: string;
  readonly process: RunningProcess;
  stop(reason: unknown): void;
}

/** Thrown where only a new snapshot helps. */
export class StuckBehindSnapshot extends HoldfastError {}

export interface DumpJob {
  readonly access: DatabaseAccess;
  readonly options: DatabaseDumpOptions;
  readonly environment: ClientEnvironment;
  readonly clients: ClientPrograms;
  readonly snapshot: Snapshot;
  /** Quoted names of the tables of each `rows-N`. */
  readonly split: readonly (readonly string[])[];
  /** The server is a standby. */
  readonly recovering: boolean;
  readonly signal: AbortSignal;
}

const READY_CHECK_INTERVAL = 20;
const STUCK_CHECK_INTERVAL = 500;

/**
 * Starts every pg_dump of a backup at once. They are all started now, and not when their part is read, because a
 * program that comes later would queue behind whoever waits for the snapshot's locks by then, and he behind it.
 */
export async function startDumps(job: DumpJob): Promise<RunningDump[]> {
  const dumps = dumpArguments(job).map(({ part, args }) => startDump(job, part, args));
  try {
    await allReady(job, dumps);
    return dumps;
  } catch (error) {
    for (const dump of dumps) dump.stop(error);
    await Promise.allSettled(dumps.map((dump) => dump.process.finished));
    throw error;
  }
}

function dumpArguments(job: DumpJob): { part: string; args: string[] }[] {
  const rows = job.split.map((names, index) => ({
    part: `rows-${index + 1}`,
    args: ['--data-only', ...names.map((name) => `--table=${name}`)],
  }));
  const elsewhere = job.split.flat().map((name) => `--exclude-table-data=${name}`);
  return [
    { part: 'database', args: elsewhere },
    ...rows,
    { part: 'schema', args: ['--section=pre-data', '--section=post-data'] },
  ];
}

function startDump(job: DumpJob, part: string, args: readonly string[]): RunningDump {
  const own = new AbortController();
  const process = startProcess({
    command: programPath(job.clients, 'pg_dump'),
    args: [
      '--format=custom',
      '--compress=0',
      '--no-password',
      `--snapshot=${job.snapshot.id}`,
      `--lock-wait-timeout=${Math.ceil(job.access.lockTimeout)}`,
      // A standby has no rows of unlogged tables, and refuses to read them.
      ...(job.recovering ? ['--no-unlogged-table-data'] : []),
      ...args,
    ],
    environment: job.environment.variables,
    stallTimeout: job.options.stallTimeout,
    signal: AbortSignal.any([own.signal, job.signal]),
  });
  return { part, process, stop: (reason) => own.abort(reason) };
}

/** pg_dump writes its first byte when it has all its locks and has read all definitions. */
async function allReady(job: DumpJob, dumps: readonly RunningDump[]): Promise<void> {
  const waiting = new AbortController();
  const ready = Promise.all(dumps.map((dump) => firstByte(dump, waiting.signal)));
  try {
    await Promise.race([ready, failWhenStuck(job, waiting.signal)]);
  } catch (error) {
    job.signal.throwIfAborted();
    throw error;
  } finally {
    waiting.abort();
  }
}

async function firstByte(dump: RunningDump, signal: AbortSignal): Promise<void> {
  let ended = false;
  const end = dump.process.finished.finally(() => (ended = true));
  end.catch(() => undefined);
  const stdout: { bytesRead?: number } = dump.process.stdout as object;
  while (!stdout.bytesRead) {
    if (ended) await end;
    await delay(READY_CHECK_INTERVAL, undefined, { signal });
  }
}

async function failWhenStuck(job: DumpJob, signal: AbortSignal): Promise<never> {
  await delay(STUCK_CHECK_INTERVAL, undefined, { signal });
  const client = await connect(job.access, signal);
  try {
    while (!(await dumpIsStuckBehindSnapshot(client, job.snapshot.pid, APPLICATION_NAME)))
      await delay(STUCK_CHECK_INTERVAL, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new HoldfastError('DumpFailed', `${describeDatabase(job.access)}, watching the locks: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await client.end();
  }
  throw new StuckBehindSnapshot(
    'Stalled',
    `${describeDatabase(job.access)}: somebody queued for a lock while the dump began`,
    {
      advice: 'Run the backup when no migration, TRUNCATE or VACUUM FULL is under way.',
    },
  );
}
