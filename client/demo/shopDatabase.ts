import { readFile } from 'node:fs/promises';
import { Client, escapeLiteral } from 'pg';

/** How to reach the demo's server as its superuser. */
export interface ServerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export const SHOP_DATABASE = 'shop';
export const CATALOG_DATABASE = 'holdfast_catalog';
/** Reads everything and changes nothing. */
export const BACKUP_ROLE = 'shop_backup';

/** Contrib modules the shop uses where the server has them. */
const EXTENSIONS = ['pg_trgm', 'citext', 'hstore'];

export interface ShopDatabase {
  /** Contrib modules that this server does not have, so that the shop does without. */
  readonly missingExtensions: readonly string[];
}

/**
 * Makes the databases `shop` and `holdfast_catalog` with their roles, once. `shop` appears under its name only when it is
 * complete, so an interrupted first run starts over.
 */
export async function makeShopDatabase(login: ServerLogin, backupPassword: string): Promise<ShopDatabase> {
  return withClient(login, 'postgres', async (server) => {
    await makeRoles(server, backupPassword);
    if (!(await databaseExists(server, CATALOG_DATABASE))) await server.query(`create database ${CATALOG_DATABASE}`);
    if (!(await databaseExists(server, SHOP_DATABASE))) await buildShop(server, login);
    return { missingExtensions: await missingExtensions(server) };
  });
}

/** Runs `use` on a connection of its own to one database. */
export async function withClient<Result>(
  login: ServerLogin,
  database: string,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ ...login, database });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function makeRoles(server: Client, backupPassword: string): Promise<void> {
  for (const role of ['shop_owner', 'shop_app', BACKUP_ROLE]) {
    const { rowCount } = await server.query('select from pg_roles where rolname = $1', [role]);
    if (rowCount === 0) await server.query(`create role ${role}`);
  }
  // What a backup needs and no more: to log in, to read every table, and to read past row-level security.
  await server.query(`alter role ${BACKUP_ROLE} login bypassrls password ${escapeLiteral(backupPassword)}`);
  await server.query(`grant pg_read_all_data to ${BACKUP_ROLE}`);
}

async function buildShop(server: Client, login: ServerLogin): Promise<void> {
  const unfinished = `${SHOP_DATABASE}_new`;
  await server.query(`drop database if exists ${unfinished} with (force)`);
  await server.query(`create database ${unfinished}`);
  await withClient(login, unfinished, async (shop) => {
    const missing = await missingExtensions(shop);
    for (const extension of EXTENSIONS) {
      if (!missing.includes(extension)) await shop.query(`create extension ${extension}`);
    }
    await shop.query(await readFile(new URL('shop.sql', import.meta.url), 'utf8'));
    await grantLargeObjects(shop);
  });
  await server.query(`alter database ${unfinished} rename to ${SHOP_DATABASE}`);
  await server.query(`alter database ${SHOP_DATABASE} set app.current_tenant = ''`);
  await server.query(`alter role shop_app in database ${SHOP_DATABASE} set statement_timeout = '30s'`);
}

/** pg_read_all_data covers no large objects: each is granted by itself. */
async function grantLargeObjects(shop: Client): Promise<void> {
  const { rows } = await shop.query<{ oid: number }>('select oid from pg_largeobject_metadata');
  for (const { oid } of rows) await shop.query(`grant select on large object ${oid} to ${BACKUP_ROLE}`);
}

async function missingExtensions(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('select name from pg_available_extensions');
  const available = new Set(rows.map(({ name }) => name));
  return EXTENSIONS.filter((extension) => !available.has(extension));
}

async function databaseExists(server: Client, name: string): Promise<boolean> {
  const { rowCount } = await server.query('select from pg_database where datname = $1', [name]);
  return (rowCount ?? 0) > 0;
}
