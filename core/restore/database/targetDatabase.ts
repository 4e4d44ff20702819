import type pg from 'pg';
import { HoldfastError, messageOf } from '../../errors.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { createDatabaseSql, type DatabaseForm } from '../../postgres/databaseSettings.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { dropDatabase } from './dropDatabase.ts';
import { onServer } from './onServer.ts';
import {
  isMarked,
  isNewborn,
  markedComment,
  newbornName,
  newbornPrefix,
  type FoundDatabase,
  type TargetMark,
} from './targetMark.ts';

export interface NewDatabase extends TargetMark {
  readonly server: DatabaseAccess;
  readonly target: string;
  /** Names of databases that are never made or dropped, whatever marks them. */
  readonly spared?: readonly string[] | undefined;
}

/**
 * Makes the empty target with the encoding and locale of the source, in place of what an earlier try of the same mark
 * left. Until it is whole its comment says whose it is. Throws RefusedForSafety when a database of that name is somebody
 * else's, RestoreFailed when the server cannot make one like it; `dropTarget` removes what there is of it then. Gives the
 * server's major version.
 */
export async function createTarget(database: NewDatabase, form: CreatedForm, signal?: AbortSignal): Promise<number> {
  const { server, target } = database;
  return onServer(server, signal, async (client) => {
    await refuseForeign(client, database);
    await dropLeftOvers(database);
    const version = await serverVersion(client);
    const newborn = newbornName(database);
    try {
      await client.query(createDatabaseSql(newborn, formFor(form, version)));
      const { oid } = await databaseNamed(client, newborn);
      const comment = markedComment(database, { oid, name: target });
      await client.query(`COMMENT ON DATABASE ${quoteIdentifier(newborn)} IS ${quoteLiteral(comment)}`);
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
  await onServer(database.server, undefined, async (client) => {
    for (const found of await leftOversIn(client, database)) {
      const own = isMarked(found, database.mark, database.attempt) || found.name === newbornName(database);
      if (own) await dropDatabase(client, database.server, found);
    }
  });
}

/** Removes what unfinished tries of a mark have left, with every session in it. Leaves any other database alone. */
export async function dropLeftOvers(database: Omit<NewDatabase, 'attempt'>): Promise<void> {
  const { server } = database;
  await onServer(server, undefined, async (client) => {
    for (const found of await leftOversIn(client, database)) await dropDatabase(client, server, found);
  });
}

/** Names of the databases that `dropLeftOvers` would remove. */
export async function findLeftOvers(database: Omit<NewDatabase, 'attempt'>): Promise<string[]> {
  return onServer(database.server, undefined, async (client) =>
    (await leftOversIn(client, database)).map(({ name }) => name),
  );
}

async function leftOversIn(
  client: pg.Client,
  { target, mark, spared = [] }: Omit<NewDatabase, 'attempt'>,
): Promise<FoundDatabase[]> {
  const { rows } = await client.query<FoundDatabase>(
    `${FOUND} where datname = $1 or starts_with(datname, $2) order by datname`,
    [target, newbornPrefix(mark)],
  );
  return rows.filter((found) => {
    if (spared.includes(found.name)) return false;
    return isNewborn(found, mark) || (found.name === target && isMarked(found, mark));
  });
}

/** Throws RestoreFailed when a later try of the same mark has taken the target over. */
export async function requireOwn(client: pg.Client, { target, mark, attempt }: NewDatabase): Promise<FoundDatabase> {
  const found = await findDatabase(client, target);
  if (found && isMarked(found, mark, attempt)) return found;
  throw new HoldfastError('RestoreFailed', `Database ${target} was taken over by another try of this restore`, {
    advice: 'Wait for that one to end.',
  });
}

/** Whether a database is what an unfinished try of this mark left. */
export async function isLeftOver(client: pg.Client, target: string, mark: string): Promise<boolean> {
  const found = await findDatabase(client, target);
  return found !== undefined && isMarked(found, mark);
}

/** The database's comment, null where it has none, undefined where there is no such database. */
export async function commentOn(client: pg.Client, name: string): Promise<string | null | undefined> {
  return (await findDatabase(client, name))?.comment;
}

const FOUND = `select oid::text, datname as name, shobj_description(oid, 'pg_database') as comment from pg_database`;

async function findDatabase(client: pg.Client, name: string): Promise<FoundDatabase | undefined> {
  const { rows } = await client.query<FoundDatabase>(`${FOUND} where datname = $1`, [name]);
  return rows[0];
}

async function databaseNamed(client: pg.Client, name: string): Promise<FoundDatabase> {
  const found = await findDatabase(client, name);
  if (found === undefined) throw new TypeError('a database that was just made is there');
  return found;
}

async function refuseForeign(client: pg.Client, { target, mark, spared = [] }: NewDatabase): Promise<void> {
  const found = await findDatabase(client, target);
  if (found === undefined || (isMarked(found, mark) && !spared.includes(target))) return;
  throw new HoldfastError('RefusedForSafety', `Database ${target} exists already`, {
    advice: 'Nothing is restored into a database that exists: choose another name, or drop it first.',
  });
}

type CreatedForm = Pick<
  Inventory['database'],
  'encoding' | 'collate' | 'ctype' | 'tablespace' | 'localeProvider' | 'locale' | 'icuRules'
>;

/** Locales have providers from 15 on; a target whose template has another one must be told even libc. */
function formFor(form: CreatedForm, version: number): DatabaseForm {
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
