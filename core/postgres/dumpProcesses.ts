import { setTimeout as delay } from 'node:timers/promises';
import { startProducer, type RunningProducer } from '../process/childProcess.ts';
import { HoldfastError, messageOf } from '../errors.ts';
import { APPLICATION_NAME, connect, endSession, describeDatabase, type DatabaseAccess } from './access.ts';
import { dumpIsStuckBehindSnapshot } from './blockers.ts';
import { programPath, type ClientPrograms } from './clients.ts';
import type { DatabaseDumpOptions } from './dumpOptions.ts';
import type { ClientEnvironment } from './passwordFile.ts';
import type { ServerFacts } from './server.ts';
import { lockTableFull, type Snapshot } from './snapshot.ts';

/** A pg_dump that holds its locks and waits for its reader. */
export interface RunningDump extends RunningProducer {
  /** `database`, `schema` or `rows-N`. */
  readonly part: string;
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
  readonly server: ServerFacts;
  readonly signal: AbortSignal;
}

const READY_CHECK_INTERVAL = 20;
const STUCK_CHECK_INTERVAL = 500;

/**
 * Starts every pg_dump of a backup at once. They are all started now, and not when their part is read, because a
 * program that comes later would queue behind whoever waits for the snapshot's locks by then, and he behind it.
 */
export async function startDumps(job: DumpJob): Promise<RunningDump[]> {
  const dumps: RunningDump[] = [];
  try {
    for (const { part, args } of dumpArguments(job)) dumps.push(await startDump(job, part, args));
    await allReady(job, dumps);
    return dumps;
  } catch (error) {
    for (const dump of dumps) dump.stop(error);
    await Promise.all(dumps.map((dump) => dump.gone));
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

async function startDump(job: DumpJob, part: string, args: readonly string[]): Promise<RunningDump> {
  const own = new AbortController();
  const process = await startProducer({
    command: programPath(job.clients, 'pg_dump'),
    args: [
      '--format=custom',
      '--compress=0',
      '--no-password',
      `--snapshot=${job.snapshot.id}`,
      `--lock-wait-timeout=${Math.ceil(job.access.lockTimeout)}`,
      // Or a client_encoding that the role or database has set would decide, and fail on what it cannot express.
      `--encoding=${job.server.encoding}`,
      // A standby has no rows of unlogged tables, and refuses to read them.
      ...(job.server.recovering ? ['--no-unlogged-table-data'] : []),
      ...args,
    ],
    environment: job.environment.variables,
    stallTimeout: job.options.stallTimeout,
    signal: AbortSignal.any([own.signal, job.signal]),
  });
  return { part, ...process, stop: (reason) => own.abort(reason) };
}

/** pg_dump writes its first byte when it has all its locks and has read all definitions. */
async function allReady(job: DumpJob, dumps: readonly RunningDump[]): Promise<void> {
  const waiting = new AbortController();
  const ready = Promise.all(dumps.map((dump) => firstByte(dump, waiting.signal)));
  try {
    await Promise.race([ready, failWhenStuck(job, waiting.signal)]);
  } catch (error) {
    job.signal.throwIfAborted();
    if (/max_locks_per_transaction/.test(messageOf(error))) throw lockTableFull(job.access, error);
    throw error;
  } finally {
    waiting.abort();
  }
}

/** A program that ends well has written something, so only a failure ends the wait early. */
async function firstByte(dump: RunningDump, signal: AbortSignal): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  dump.finished.catch((error: unknown) => (failure = { error }));
  while (!dump.hasBegun()) {
    if (failure) throw failure.error;
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
    await endSession(client);
  }
  throw new StuckBehindSnapshot(
    'Stalled',
    `${describeDatabase(job.access)}: somebody queued for a lock while the dump began`,
    {
      advice: 'Run the backup when no migration, TRUNCATE or VACUUM FULL is under way.',
    },
  );
}
