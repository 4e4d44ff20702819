import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { connect, endSession, describeDatabase, queryError, type DatabaseAccess } from './access.ts';
import { qualifiedName } from './identifiers.ts';
import { LOCKED_TABLES_SQL } from './relations.ts';
import { watchBlockers } from './blockers.ts';

/** An exported snapshot and the session that keeps it, and the locks on every table, alive. */
export interface Snapshot {
  /** For pg_dump's --snapshot. */
  readonly id: string;
  /** Backend process of the session. */
  readonly pid: number;
  /** The session itself: its queries see the snapshot, and wait for no lock on a table. */
  readonly client: pg.Client;
  /** Aborted, with a HoldfastError as reason, when the session ends before `close`. */
  readonly lost: AbortSignal;
  /** Ends the session. Repeatable. */
  close(): Promise<void>;
}

interface TableName {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
}

const ATTEMPTS = 8;
const PAUSE_BETWEEN_ATTEMPTS = 200;
const TABLES_PER_LOCK = 200;
const HEARTBEAT_INTERVAL = 5_000;

/** The table list changed while it was being locked: dropped, renamed, created, or a deadlock with who did it. */
const MOVING_TARGET = new Set(['42P01', '3F000', '42809', '40P01']);

/**
 * Locks every table, then exports a snapshot. In this order, because a TRUNCATE or rewrite that commits between a
 * snapshot and a lock leaves the snapshot an empty table, without an error anywhere (PostgreSQL's manual, "Caveats" of
 * MVCC). Rejects with `Stalled` naming who holds a lock for longer than `access.lockTimeout`.
 */
export async function openSnapshot(access: DatabaseAccess, signal?: AbortSignal): Promise<Snapshot> {
  const client = await connect(access, signal);
  const giveUp = () => void endSession(client);
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    const pid = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
    const id = await lockAndExport(access, client, pid, signal);
    return keepAlive(access, client, pid, id);
  } catch (error) {
    await endSession(client);
    signal?.throwIfAborted();
    throw queryError(access, 'locking the tables', error);
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

async function lockAndExport(
  access: DatabaseAccess,
  client: pg.Client,
  pid: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  await client.query(`set lock_timeout = ${Math.ceil(access.lockTimeout)}`);
  const watch = watchBlockers(access, pid);
  try {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      signal?.throwIfAborted();
      const id = await tryLockAndExport(client);
      if (id !== undefined) return id;
      await delay(PAUSE_BETWEEN_ATTEMPTS * attempt, undefined, signal ? { signal } : {});
    }
  } catch (error) {
    throw lockError(access, error, watch.lastSeen());
  } finally {
    await watch.stop();
  }
  throw new HoldfastError(
    'DumpFailed',
    `${describeDatabase(access)}: tables kept being created and dropped while they were being locked`,
    {
      advice: 'Run the backup when no migration is under way.',
    },
  );
}

/** The exported snapshot's name, or undefined when the tables changed meanwhile. */
async function tryLockAndExport(client: pg.Client): Promise<string | undefined> {
  // Listed outside the transaction: any query inside it would take the snapshot, before the locks.
  const { rows: tables } = await client.query<TableName>(LOCKED_TABLES_SQL);
  await client.query('begin isolation level repeatable read, read only');
  try {
    await lockTables(client, tables);
    if (await someTableIsNotLocked(client)) return await rollback(client);
    const { rows } = await client.query<{ id: string }>('select pg_export_snapshot() as id');
    return rows[0]?.id;
  } catch (error) {
    await rollback(client);
    if (MOVING_TARGET.has(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}

async function rollback(client: pg.Client): Promise<undefined> {
  await client.query('rollback');
}

async function lockTables(client: pg.Client, tables: readonly TableName[]): Promise<void> {
  for (let start = 0; start < tables.length; start += TABLES_PER_LOCK) {
    const batch = tables.slice(start, start + TABLES_PER_LOCK);
    const names = batch.map((table) => `only ${qualifiedName(table.schema, table.name)}`);
    await client.query(`lock table ${names.join(', ')} in access share mode`);
  }
}

/** A table of the snapshot can have been created, or have got its name, after the list was read. */
async function someTableIsNotLocked(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ missing: boolean }>(`
    select exists (
      select oid from (${LOCKED_TABLES_SQL}) t
      except
      select l.relation::int8::text from pg_catalog.pg_locks l
       where l.pid = pg_backend_pid() and l.granted and l.locktype = 'relation' and l.mode = 'AccessShareLock') as missing`);
  return rows[0]?.missing ?? true;
}

function lockError(access: DatabaseAccess, cause: unknown, blockers: string | undefined): unknown {
  const code = codeOf(cause);
  if (code === '55P03')
    return new HoldfastError(
      'Stalled',
      `${describeDatabase(access)}: no lock within ${Math.round(access.lockTimeout / 1000)} s: ${blockers ?? 'another session holds a conflicting one'}`,
      { advice: 'End that session or wait for it, or raise lockTimeout of the source.', cause },
    );
  if (code === '53200') return lockTableFull(access, cause);
  return cause;
}

/** For the snapshot's session and the dump programs: all of them lock every table. */
export function lockTableFull(access: DatabaseAccess, cause: unknown): HoldfastError {
  return new HoldfastError(
    'SourceRefused',
    `${describeDatabase(access)}: its lock table is full: ${messageOf(cause)}`,
    {
      advice:
        'A dump locks every table and partition at once, in several sessions: raise max_locks_per_transaction on the server and restart it.',
      cause,
    },
  );
}

function keepAlive(access: DatabaseAccess, client: pg.Client, pid: number, id: string): Snapshot {
  const lost = new AbortController();
  let closing: Promise<void> | undefined;
  const lose = (reason: string) => {
    if (closing || lost.signal.aborted) return;
    stopHeartbeat();
    lost.abort(
      new HoldfastError(
        'DumpFailed',
        `${describeDatabase(access)}: the session that holds the snapshot ended before the dump did: ${reason}`,
        { advice: 'Look into the log of the server for who ended it; the next attempt takes a new snapshot.' },
      ),
    );
  };
  client.on('error', (error) => lose(messageOf(error)));
  client.on('end', () => lose('the connection was closed'));
  const stopHeartbeat = startHeartbeat(client, lose);
  const close = () => {
    closing ??= (async () => {
      stopHeartbeat();
      await endSession(client);
    })();
    return closing;
  };
  return { id, pid, client, lost: lost.signal, close };
}

/**
 * Asks the session for a sign of life. A broken connection says so by itself; a network that swallows packets does not.
 * While a long query of ours runs, the heartbeat waits its turn and the connection's keepalive watches.
 */
function startHeartbeat(client: pg.Client, lose: (reason: string) => void): () => void {
  let underWay = false;
  const timer = setInterval(() => {
    if (underWay) return;
    underWay = true;
    client.query('select 1').then(
      () => (underWay = false),
      (error: unknown) => lose(messageOf(error)),
    );
  }, HEARTBEAT_INTERVAL);
  timer.unref();
  return () => clearInterval(timer);
}
