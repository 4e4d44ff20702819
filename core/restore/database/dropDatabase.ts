import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, HoldfastError, messageOf } from '../../errors.ts';
import { connect, connectionLost, endSession, queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { dropLines } from '../names.ts';
import type { FoundDatabase } from './targetMark.ts';

/** Milliseconds between two tries, and tries in all: a session that was told to end may take a moment. */
const INTERVAL = 1_000;
const TRIES = 3;

/**
 * Drops a database with every session in it, if it still is the one that was found. Its subscriptions are parted from
 * their slots first: these belong to the database that was dumped, and would be dropped at the publisher. Throws
 * RestoreFailed, with what somebody can do, where the server does not let go of it; SourceUnreachable.
 */
export async function dropDatabase(
  client: pg.Client,
  server: DatabaseAccess,
  { oid, name }: Pick<FoundDatabase, 'oid' | 'name'>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await client.query<{ template: boolean; subscriptions: string[] }>(
      `select datistemplate as template,
              array(select subname::text from pg_subscription where subdbid = d.oid order by 1) as subscriptions
         from pg_database d where datname = $1 and oid = $2::oid`,
      [name, oid],
    );
    const [found] = rows;
    if (found === undefined) return;
    const parting = found.subscriptions.length > 0 && (await failureOf(dropSubscriptions({ ...server, name })));
    try {
      // A template cannot be dropped.
      if (found.template) await client.query(`ALTER DATABASE ${quoteIdentifier(name)} WITH IS_TEMPLATE false`);
      await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
      return;
    } catch (error) {
      if (connectionLost(error)) throw queryError(server, `dropping database ${name}`, error);
      if (codeOf(error) !== '55006' || attempt === TRIES)
        throw notDropped(error, parting, dropLines(name, found), name);
    }
    await delay(INTERVAL);
  }
}

function notDropped(error: unknown, parting: unknown, lines: readonly string[], name: string): HoldfastError {
  const why = parting ? `; its subscriptions cannot be dropped: ${messageOf(parting)}` : '';
  return new HoldfastError('RestoreFailed', `Database ${name} cannot be dropped: ${messageOf(error)}${why}`, {
    advice: `Mend that, and drop it in psql: ${lines.join(' ')}`,
    cause: error,
  });
}

async function failureOf(work: Promise<void>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The database may have settings and event triggers of its own that keep a session from changing anything. */
async function dropSubscriptions(access: DatabaseAccess): Promise<void> {
  const client = await connect(access);
  try {
    await client.query('set role none; set default_transaction_read_only = off');
    await client.query(
      `select set_config('session_replication_role', 'replica', false) from pg_roles where rolname = current_user and rolsuper`,
    );
    const { rows } = await client.query<{ name: string }>(`
      select quote_ident(subname) as name from pg_subscription
       where subdbid = (select oid from pg_database where datname = current_database())`);
    for (const { name } of rows) {
      await client.query(`ALTER SUBSCRIPTION ${name} DISABLE`);
      await client.query(`ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`);
      await client.query(`DROP SUBSCRIPTION ${name}`);
    }
  } finally {
    await endSession(client);
  }
}
