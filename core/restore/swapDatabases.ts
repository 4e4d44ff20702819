import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { connect, endSession, queryError, type DatabaseAccess } from '../postgres/access.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { commentOn, isLeftOver, onServer, ownComment } from './targetDatabase.ts';

/** Which database takes whose place. */
export interface Swap {
  /** A maintenance connection, to neither of them. Its role owns both, may create databases and end their sessions. */
  readonly server: DatabaseAccess;
  /** The name under which the application finds its database. */
  readonly name: string;
  /** Name of the database that comes into its place. */
  readonly next: string;
  /** Name under which the one in place is kept. */
  readonly keptAs: string;
  /** Name under which the next one is set aside where the swap is taken back after it was in place. */
  readonly setAsideAs: string;
  /** Which databases these are, whatever they are called meanwhile: from `databaseOids`, before the first try. */
  readonly oids: { readonly old: string; readonly next: string };
  /** Of the restore that made the next one with `keepMark`: it goes in the very transaction that puts the database in place. */
  readonly mark?: string | undefined;
}

/**
 * `before`: nothing was exchanged. `done`: the next one is in place. `undone`: it was, and the one of before is again.
 * `neither`: what is there fits no swap.
 */
export type SwapState = 'before' | 'done' | 'undone' | 'neither';

/** Milliseconds between two rounds of ending sessions, and rounds in all of renaming: each waits for 5 s by itself. */
const END_INTERVAL = 100;
const ROUNDS = 6;

/**
 * Puts the next database in place and keeps the one of before under another name: both renames in one transaction, so that
 * whenever this is cut off either the old one or the new one is in place. Sessions of the old one are ended only while
 * PostgreSQL already holds its name locked, so that none comes back in between. Nothing happens where it is done already.
 *
 * Throws RefusedForSafety where other databases are there than were expected, SourceBusy when sessions of it do not end,
 * SourceUnreachable, SourceRefused, and the signal's reason.
 *
 * https://www.postgresql.org/docs/current/sql-alterdatabase.html
 */
export async function swapDatabases(swap: Swap, signal?: AbortSignal): Promise<void> {
  await exchange(
    swap,
    'done',
    [
      [swap.name, swap.keptAs],
      [swap.next, swap.name],
    ],
    signal,
  );
}

/**
 * Takes the swap back: the database of before is in place again. The next one is set aside and has no mark any more, so
 * that no clean-up drops what an application may have written into it. Answers `before` where it never was in place.
 */
export async function undoSwap(swap: Swap, signal?: AbortSignal): Promise<'before' | 'undone'> {
  if ((await swapState(swap, signal)) === 'before') return 'before';
  await exchange(
    swap,
    'undone',
    [
      [swap.name, swap.setAsideAs],
      [swap.keptAs, swap.name],
    ],
    signal,
  );
  return 'undone';
}

/** PostgreSQL's numbers of databases, undefined for one that is not there. */
export async function databaseOids(
  server: DatabaseAccess,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<(string | undefined)[]> {
  return onServer(server, signal, (client) => oidsOf(client, names));
}

/** What a look at the databases tells. */
export async function swapState({ server, ...names }: Swap, signal?: AbortSignal): Promise<SwapState> {
  return onServer(server, signal, (client) => stateOf(client, names));
}

type Renaming = readonly [from: string, to: string];

async function exchange(swap: Swap, wanted: SwapState, renamings: readonly Renaming[], signal?: AbortSignal) {
  const { server } = swap;
  const [renaming, ending] = await Promise.all([connect(server, signal), connect(server, signal)]);
  try {
    for (let round = 1; ; round += 1) {
      signal?.throwIfAborted();
      const state = await stateOf(renaming, swap);
      if (state === wanted) return;
      if (state !== (wanted === 'done' ? 'before' : 'done')) throw notAsExpected(swap);
      try {
        await rename(renaming, ending, renamings, wanted === 'done' ? await unmarking(renaming, swap) : []);
        return;
      } catch (error) {
        // 55006: somebody was faster than the lock, or a session does not end.
        if (codeOf(error) !== '55006') throw error;
        if (round === ROUNDS || (await holdsPrepared(ending, renamings)))
          throw await stillUsed(ending, renamings, error);
      }
    }
  } catch (error) {
    throw queryError(server, `putting database ${swap.next} in place of ${swap.name}`, error);
  } finally {
    await Promise.all([endSession(renaming), endSession(ending)]);
  }
}

/** What gives the next database its own comment in place of its mark. */
async function unmarking(client: pg.Client, { next, mark }: Swap): Promise<string[]> {
  if (mark === undefined || !(await isLeftOver(client, next, mark))) return [];
  const own = ownComment(await commentOn(client, next));
  return [`COMMENT ON DATABASE ${quoteIdentifier(next)} IS ${own === null ? 'NULL' : quoteLiteral(own)}`];
}

async function rename(
  renaming: pg.Client,
  ending: pg.Client,
  renamings: readonly Renaming[],
  comments: readonly string[],
): Promise<void> {
  const over = new AbortController();
  const ended = endSessions(
    ending,
    renamings.map(([from]) => from),
    over.signal,
  );
  try {
    const commands = renamings.map(
      ([from, to]) => `ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
    );
    await renaming.query(['BEGIN', ...comments, ...commands, 'COMMIT'].join('; '));
  } catch (error) {
    await renaming.query('ROLLBACK');
    throw error;
  } finally {
    over.abort();
    await ended;
  }
}

/** Ends the sessions in these databases until told that it is enough. One that may not be ended is named by `stillUsed`. */
async function endSessions(client: pg.Client, databases: readonly string[], over: AbortSignal): Promise<void> {
  const terminate =
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = any($1) and pid <> pg_backend_pid()';
  while (!over.aborted) {
    await client.query(terminate, [databases]).catch(() => undefined);
    await delay(END_INTERVAL, undefined, { signal: over }).catch(() => undefined);
  }
}

async function stateOf(client: pg.Client, swap: Omit<Swap, 'server'>): Promise<SwapState> {
  const { name, next, keptAs, setAsideAs, oids } = swap;
  const [inPlace, atNext, atKept, aside] = await oidsOf(client, [name, next, keptAs, setAsideAs]);
  if (inPlace === oids.next && atNext === undefined && atKept === oids.old) return 'done';
  if (inPlace !== oids.old || atKept !== undefined) return 'neither';
  if (atNext === oids.next) return 'before';
  return aside === oids.next ? 'undone' : 'neither';
}

/** The same in a session that is open. */
export async function oidsOf(client: pg.Client, names: readonly string[]): Promise<(string | undefined)[]> {
  const { rows } = await client.query<{ oid: string; name: string }>(
    'select oid::text, datname as name from pg_database where datname = any($1)',
    [names],
  );
  return names.map((name) => rows.find((row) => row.name === name)?.oid);
}

function notAsExpected({ name, next, keptAs }: Swap): HoldfastError {
  return new HoldfastError(
    'RefusedForSafety',
    `The databases ${name}, ${next} and ${keptAs} are not as the swap left or expects them`,
    { advice: 'Somebody renamed or dropped one of them: look with \\l in psql, and rename them by hand.' },
  );
}

/** Nobody ends a prepared transaction but who finishes it. */
async function holdsPrepared(client: pg.Client, renamings: readonly Renaming[]): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_prepared_xacts where database = any($1)', [
    renamings.map(([from]) => from),
  ]);
  return rowCount !== 0;
}

async function stillUsed(client: pg.Client, renamings: readonly Renaming[], cause: unknown): Promise<HoldfastError> {
  const names = renamings.map(([from]) => from);
  const { rows } = await client.query<{ what: string }>(
    `select format('session %s of %s (%s)', pid, usename, application_name) as what
       from pg_stat_activity where datname = any($1)
      union all
     select format('prepared transaction %s of %s', gid, owner) from pg_prepared_xacts where database = any($1)`,
    [names],
  );
  const users = rows.map(({ what }) => what).join(', ');
  return new HoldfastError('SourceBusy', `${messageOf(cause)}${users === '' ? '' : `: ${users}`}`, {
    advice: 'Stop the application, finish prepared transactions, and try again.',
    cause,
  });
}
