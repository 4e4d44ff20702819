import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, HoldfastError, messageOf } from '../../errors.ts';
import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';

export type Renaming = readonly [from: string, to: string];

/** What is to be done in one transaction. */
export interface RenamingWork {
  readonly renamings: readonly Renaming[];
  /** Statements that come before them. */
  readonly comments: readonly string[];
}

/** Milliseconds between two rounds of ending sessions, and rounds in all of renaming: each waits for 5 s by itself. */
const END_INTERVAL = 100;
const ROUNDS = 6;

/**
 * Renames databases in one transaction. `work` looks what there is to do, anew for each round: undefined where it is done
 * already. Sessions in them are ended only while PostgreSQL already holds their names locked, so that none comes back in
 * between. Throws SourceBusy, naming them, when sessions do not end, and what `work` throws.
 *
 * https://www.postgresql.org/docs/current/sql-alterdatabase.html
 */
export async function renameDatabases(
  server: DatabaseAccess,
  work: (client: pg.Client) => Promise<RenamingWork | undefined>,
  signal?: AbortSignal,
): Promise<void> {
  const [renaming, ending] = await Promise.all([connect(server, signal), connect(server, signal)]);
  try {
    for (let round = 1; ; round += 1) {
      signal?.throwIfAborted();
      const wanted = await work(renaming);
      if (wanted === undefined) return;
      try {
        await rename(renaming, ending, wanted);
        return;
      } catch (error) {
        // 55006: somebody was faster than the lock, or a session does not end.
        if (codeOf(error) !== '55006') throw error;
        const { renamings } = wanted;
        if (round === ROUNDS || (await holdsPrepared(ending, renamings)))
          throw await stillUsed(ending, renamings, error);
      }
    }
  } finally {
    await Promise.all([endSession(renaming), endSession(ending)]);
  }
}

async function rename(renaming: pg.Client, ending: pg.Client, { renamings, comments }: RenamingWork): Promise<void> {
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
