import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { HoldfastError, messageOf } from '../errors.ts';
import { connect, endSession, type DatabaseAccess } from '../postgres/access.ts';
import { createDatabaseSql, type DatabaseForm } from '../postgres/databaseSettings.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import type { Inventory } from '../postgres/inventorySchema.ts';

export interface NewDatabase {
  readonly server: DatabaseAccess;
  readonly target: string;
  /** Whose it is, over all tries: see RestoreDatabaseOptions. */
  readonly mark: string;
  /** This try, of `newAttempt`: another one of the same mark may have taken over meanwhile. */
  readonly attempt: string;
}

export function newAttempt(): string {
  return randomBytes(4).toString('hex');
}

/**
 * Makes the empty target with the encoding and locale of the source, in place of what an earlier try of the same mark
 * left. Until it is whole its comment says whose it is. Throws RefusedForSafety when a database of that name is somebody
 * else's, RestoreFailed when the server cannot make one like it; `dropTarget` removes what there is of it then. Gives the
 * server's major version.
 */
export async function createTarget(
  database: NewDatabase,
  form: Inventory['database'],
  signal?: AbortSignal,
): Promise<number> {
  const { server, target } = database;
  return onServer(server, signal, async (client) => {
    await refuseForeign(client, database);
    await dropLeftOvers(database);
    const version = await serverVersion(client);
    // Under a name of the mark's own until the comment stands: at every instant one of the two says whose it is.
    const newborn = newbornName(database);
    try {
      await client.query(createDatabaseSql(newborn, formFor(form, version)));
      await client.query(`COMMENT ON DATABASE ${quoteIdentifier(newborn)} IS ${quoteLiteral(commentOf(database))}`);
      await client.query(`ALTER DATABASE ${quoteIdentifier(newborn)} RENAME TO ${quoteIdentifier(target)}`);
    } catch (cause) {
      signal?.throwIfAborted();
      throw new HoldfastError('RestoreFailed', `database ${target} cannot be created: ${messageOf(cause)}`, {
        advice: 'Look whether the role may create databases and the server has this encoding and locale.',
        cause,
      });
    }
    return version;
  });
}

/** Removes what this try has made and not finished, with every session in it. Leaves any other database alone. */
export async function dropTarget(database: NewDatabase): Promise<void> {
  const { server, target } = database;
  await onServer(server, undefined, async (client) => {
    if ((await commentOn(client, target))?.startsWith(commentOf(database))) await dropDatabase(client, server, target);
    await dropDatabase(client, server, newbornName(database));
  });
}

/** Removes what unfinished tries of a mark have left, with every session in it. Leaves any other database alone. */
export async function dropLeftOvers(database: Omit<NewDatabase, 'attempt'>): Promise<void> {
  const { server } = database;
  await onServer(server, undefined, async (client) => {
    for (const name of await leftOversIn(client, database)) await dropDatabase(client, server, name);
  });
}

/** Names of the databases that `dropLeftOvers` would remove. */
export async function findLeftOvers(database: Omit<NewDatabase, 'attempt'>): Promise<string[]> {
  return onServer(database.server, undefined, (client) => leftOversIn(client, database));
}

async function leftOversIn(client: pg.Client, { target, mark }: Omit<NewDatabase, 'attempt'>): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [newbornPrefix(mark)],
  );
  const newborn = rows.map(({ name }) => name);
  return (await isLeftOver(client, target, mark)) ? [target, ...newborn] : newborn;
}

/**
 * Removes what other runs of the mark's scope left, which the caller knows to be dead. One that somebody uses is left
 * alone. Gives the names of those removed.
 */
export async function dropDeadTargets(server: DatabaseAccess, mark: string): Promise<string[]> {
  return onServer(server, undefined, async (client) => {
    const names = await deadTargetsIn(client, mark);
    for (const name of names) await dropDatabase(client, server, name);
    return names;
  });
}

/** Names of the databases that `dropDeadTargets` would remove. */
export async function findDeadTargets(server: DatabaseAccess, mark: string): Promise<string[]> {
  return onServer(server, undefined, (client) => deadTargetsIn(client, mark));
}

async function deadTargetsIn(client: pg.Client, mark: string): Promise<string[]> {
  const scope = scopeOf(mark);
  const { rows } = await client.query<{ name: string }>(
    `select datname as name from pg_database d
        where ((starts_with(shobj_description(oid, 'pg_database'), $1) and not starts_with(shobj_description(oid, 'pg_database'), $2))
               or (datname ~ $3 and not starts_with(datname, $4)))
          and not exists (select from pg_stat_activity a where a.datid = d.oid)`,
    [
      `${COMMENT_START}${scope}/`,
      commentPrefix(mark),
      `^holdfast_new_[0-9a-f]{16}_${shortHash(scope)}_`,
      newbornPrefix(mark),
    ],
  );
  return rows.map(({ name }) => name);
}

/**
 * Drops a database with every session in it. Its subscriptions are parted from their slots first: these belong to the
 * database that was dumped, and would be dropped at the publisher.
 */
export async function dropDatabase(client: pg.Client, server: DatabaseAccess, name: string): Promise<void> {
  if ((await commentOn(client, name)) === undefined) return;
  // Where it cannot be entered or they cannot be altered, the drop itself is refused and says so.
  await dropSubscriptions({ ...server, name }).catch(() => undefined);
  // A template cannot be dropped.
  if (await isTemplate(client, name))
    await client.query(`ALTER DATABASE ${quoteIdentifier(name)} WITH IS_TEMPLATE false`);
  await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}

async function isTemplate(client: pg.Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_database where datname = $1 and datistemplate', [name]);
  return rowCount === 1;
}

/** Throws RestoreFailed when a later try of the same mark has taken the target over. */
export async function requireOwn(client: pg.Client, database: NewDatabase): Promise<void> {
  if ((await commentOn(client, database.target))?.startsWith(commentOf(database))) return;
  throw new HoldfastError(
    'RestoreFailed',
    `Database ${database.target} was taken over by another try of this restore`,
    {
      advice: 'Wait for that one to end.',
    },
  );
}

/** Whether a database is what an unfinished try of this mark left. */
export async function isLeftOver(client: pg.Client, target: string, mark: string): Promise<boolean> {
  return (await commentOn(client, target))?.startsWith(commentPrefix(mark)) === true;
}

/** Says whose a database is. A whole one that is not let go yet keeps its own comment behind it, from the next line on. */
export function markedComment({ mark, attempt }: Pick<NewDatabase, 'mark' | 'attempt'>, own?: string | null): string {
  return `${commentPrefix(mark)}${attempt})${own ? `\n${own}` : ''}`;
}

const MARKED = /^Holdfast is restoring into this database: \S+ \([0-9a-z]+\)(?:\n(.*))?$/s;

/** A database's own comment, without a mark before it. */
export function ownComment(comment: string | null | undefined): string | null {
  const marked = MARKED.exec(comment ?? '');
  return (marked ? marked[1] : comment) || null;
}

function commentOf(database: NewDatabase): string {
  return markedComment(database);
}

const COMMENT_START = 'Holdfast is restoring into this database: ';

function commentPrefix(mark: string): string {
  return `${COMMENT_START}${mark} (`;
}

function newbornName({ mark, attempt }: NewDatabase): string {
  return `${newbornPrefix(mark)}${attempt}`;
}

/** Of the mark, and of its scope: what dead runs of a scope left is found without knowing them. */
function newbornPrefix(mark: string): string {
  return `holdfast_new_${shortHash(mark)}_${shortHash(scopeOf(mark))}_`;
}

/** A mark's scope is what stands before its last `/`: runs of one scope exclude each other. */
export function scopeOf(mark: string): string {
  return mark.slice(0, Math.max(0, mark.lastIndexOf('/')));
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The database's comment, null where it has none, undefined where there is no such database. */
export async function commentOn(client: pg.Client, name: string): Promise<string | null | undefined> {
  const { rows } = await client.query<{ comment: string | null }>(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [name],
  );
  return rows[0] && rows[0].comment;
}

async function refuseForeign(client: pg.Client, { target, mark }: NewDatabase): Promise<void> {
  if ((await commentOn(client, target)) === undefined || (await isLeftOver(client, target, mark))) return;
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

/** Does work in a session of its own. */
export async function onServer<Result>(
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
