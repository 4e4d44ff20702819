import { createHash } from 'node:crypto';
import type pg from 'pg';
import { HoldfastError, messageOf } from '../errors.ts';
import { connect, endSession, type DatabaseAccess } from '../postgres/access.ts';
import { createDatabaseSql, type DatabaseForm } from '../postgres/databaseSettings.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import type { Inventory } from '../postgres/inventorySchema.ts';

export interface NewDatabase {
  readonly server: DatabaseAccess;
  readonly target: string;
  readonly mark: string;
}

/**
 * Makes the empty target with the encoding and locale of the source. Until it is whole its comment says whose it is, so
 * that a later try of the same mark may remove what a killed one left. Throws RefusedForSafety when a database of that
 * name is somebody else's, RestoreFailed when the server cannot make one like it.
 */
export async function createTarget(database: NewDatabase, form: Inventory['database'], signal?: AbortSignal) {
  const { server, target, mark } = database;
  await onServer(server, signal, async (client) => {
    await refuseForeign(client, database);
    await dropTarget(database);
    const version = await serverVersion(client);
    // Under the name of the mark until the comment stands: at every instant one of the two says whose it is.
    const newborn = quoteIdentifier(newbornName(mark));
    try {
      await client.query(createDatabaseSql(newbornName(mark), formFor(form, version)));
      await client.query(`COMMENT ON DATABASE ${newborn} IS ${quoteLiteral(commentOf(mark))}`);
      await client.query(`ALTER DATABASE ${newborn} RENAME TO ${quoteIdentifier(target)}`);
    } catch (cause) {
      signal?.throwIfAborted();
      throw new HoldfastError('RestoreFailed', `database ${target} cannot be created: ${messageOf(cause)}`, {
        advice: 'Look whether the role may create databases and the server has this encoding and locale.',
        cause,
      });
    }
  });
}

/**
 * Removes a target that is still marked as one of this mark, with every session in it, and what stands under the mark's
 * own name. Leaves any other database alone.
 */
export async function dropTarget({ server, target, mark }: NewDatabase): Promise<void> {
  await onServer(server, undefined, async (client) => {
    if ((await ownerMarkOf(client, target)) === commentOf(mark)) await dropDatabase(client, server, target);
    await dropDatabase(client, server, newbornName(mark));
  });
}

/**
 * Drops a database with every session in it. Its subscriptions are parted from their slots first: these belong to the
 * database that was dumped, and would be dropped at the publisher.
 */
export async function dropDatabase(client: pg.Client, server: DatabaseAccess, name: string): Promise<void> {
  if ((await ownerMarkOf(client, name)) === undefined) return;
  // Where it cannot be entered or they cannot be altered, the drop itself is refused and says so.
  await dropSubscriptions({ ...server, name }).catch(() => undefined);
  await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}

/** Removes the mark in the session's own transaction: the target is whole. */
export function unmarkSql(target: string): string {
  return `COMMENT ON DATABASE ${quoteIdentifier(target)} IS NULL`;
}

/** Whether a database is what an unfinished restore of this mark left. */
export async function isLeftOver(client: pg.Client, target: string, mark: string): Promise<boolean> {
  return (await ownerMarkOf(client, target)) === commentOf(mark);
}

function commentOf(mark: string): string {
  return `Holdfast is restoring into this database: ${mark}`;
}

function newbornName(mark: string): string {
  return `holdfast_new_${createHash('sha256').update(mark).digest('hex').slice(0, 16)}`;
}

/** The database's comment, null where it has none, undefined where there is no such database. */
async function ownerMarkOf(client: pg.Client, name: string): Promise<string | null | undefined> {
  const { rows } = await client.query<{ comment: string | null }>(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [name],
  );
  return rows[0] && rows[0].comment;
}

async function refuseForeign(client: pg.Client, { target, mark }: NewDatabase): Promise<void> {
  const comment = await ownerMarkOf(client, target);
  if (comment === undefined || comment === commentOf(mark)) return;
  throw new HoldfastError('RefusedForSafety', `Database ${target} exists already`, {
    advice: 'Nothing is restored into a database that exists: choose another name, or drop it first.',
  });
}

async function dropSubscriptions(access: DatabaseAccess): Promise<void> {
  await onServer(access, undefined, async (client) => {
    const { rows } = await client.query<{ name: string }>(`
      select quote_ident(subname) as name from pg_subscription
       where subdbid = (select oid from pg_database where datname = current_database())`);
    for (const { name } of rows) {
      await client.query(`ALTER SUBSCRIPTION ${name} DISABLE`);
      await client.query(`ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`);
      await client.query(`DROP SUBSCRIPTION ${name}`);
    }
  });
}

/** Locales have providers from 15 on; a target whose template has another one must be told even libc. */
function formFor(form: Inventory['database'], version: number): DatabaseForm {
  return {
    ...form,
    locale_provider: version < 15 ? null : ((form.localeProvider ?? 'libc') as DatabaseForm['locale_provider']),
    locale: form.locale ?? null,
    icu_rules: form.icuRules ?? null,
  };
}

async function serverVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ major: number }>(
    `select current_setting('server_version_num')::int / 10000 as major`,
  );
  return rows[0]?.major ?? 0;
}

async function onServer<Result>(
  server: DatabaseAccess,
  signal: AbortSignal | undefined,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(server, signal);
  try {
    return await work(client);
  } finally {
    await endSession(client);
  }
}
