import type pg from 'pg';
import { HoldfastError } from '../errors.ts';
import { connect, endSession, queryError, type DatabaseAccess } from '../postgres/access.ts';

/**
 * Throws RefusedForSafety when a database holds Holdfast's own catalog or Temporal's store, also one of another
 * installation: what runs the restore, or another's restores, would be lost with it. A database that does not exist
 * holds neither.
 */
export async function refuseOwnStores(server: DatabaseAccess, name: string, signal?: AbortSignal): Promise<void> {
  const held = await ownStoreIn(server, name, signal);
  if (held === undefined) return;
  throw new HoldfastError('RefusedForSafety', `Database ${name} holds ${held}`, {
    advice: 'It is never restored over. Restore under another name and put it in place by hand.',
  });
}

/** What it holds, in words. */
export async function ownStoreIn(
  server: DatabaseAccess,
  name: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (!(await exists(server, name, signal))) return undefined;
  return withSession({ ...server, name }, signal, async (client) => {
    const { rows } = await client.query<{ catalog: boolean; temporal: boolean }>(`
      select to_regclass('holdfast.migrations') is not null and to_regclass('holdfast.backups') is not null as catalog,
             exists (select from pg_class where relkind in ('r', 'p') and relname in ('executions', 'history_node', 'schema_version')
                      group by relnamespace having count(*) = 3) as temporal`);
    if (rows[0]?.catalog) return "Holdfast's catalog";
    return rows[0]?.temporal ? "Temporal's store" : undefined;
  });
}

function exists(server: DatabaseAccess, name: string, signal?: AbortSignal): Promise<boolean> {
  return withSession(server, signal, async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1 and datallowconn', [name]);
    return rowCount === 1;
  });
}

async function withSession<Result>(
  access: DatabaseAccess,
  signal: AbortSignal | undefined,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(access, signal);
  try {
    return await work(client);
  } catch (error) {
    throw queryError(access, 'looking what it holds', error);
  } finally {
    await endSession(client);
  }
}
