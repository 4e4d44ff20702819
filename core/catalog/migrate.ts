import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { HoldfastError } from '../errors.ts';
import { catalogError, query, type Catalog } from './catalog.ts';

export const CATALOG_SCHEMA = 'holdfast';

/** Names of migrations: what was done, what is still to do, and what this release does not know. */
export interface MigrationState {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  readonly unknown: readonly string[];
}

/**
 * Brings the schema `holdfast` up to this release and answers the names of the migrations it ran. Several processes may
 * do so at once: one works, the others wait. Throws CatalogUnavailable, not retryable where the schema is newer than
 * this release.
 */
export async function migrateCatalog(catalog: Catalog): Promise<string[]> {
  refuseNewer(catalog, await migrationState(catalog));
  const client = new Client({ ...catalog.pool.options, query_timeout: MIGRATION_TIMEOUT, statement_timeout: 0 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT}`);
    const ran = await runner({
      dbClient: client,
      dir: MIGRATIONS_DIRECTORY,
      direction: 'up',
      schema: CATALOG_SCHEMA,
      // Even IF NOT EXISTS asks for CREATE on the database, which a role that owns a ready-made schema may not have.
      createSchema: !(await schemaExists(client)),
      migrationsTable: MIGRATIONS_TABLE,
      advisoryLockMode: 'wait',
      lockValue: LOCK_VALUE,
      log: () => undefined,
    });
    return ran.map((migration) => migration.name);
  } catch (error) {
    throw catalogError(catalog.place, error);
  } finally {
    await client.end();
  }
}

/** Compares the schema with this release's migrations, changing nothing. Throws CatalogUnavailable. */
export async function migrationState(catalog: Catalog): Promise<MigrationState> {
  const known = (await readdir(MIGRATIONS_DIRECTORY))
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -'.sql'.length))
    .toSorted();
  const [table] = await query<{ present: boolean }>(catalog, 'SELECT to_regclass($1) IS NOT NULL AS present', [
    `${CATALOG_SCHEMA}.${MIGRATIONS_TABLE}`,
  ]);
  const rows = table?.present
    ? await query<{ name: string }>(catalog, `SELECT name FROM ${CATALOG_SCHEMA}.${MIGRATIONS_TABLE} ORDER BY id`)
    : [];
  const applied = rows.map((row) => row.name);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('./migrations', import.meta.url));
const MIGRATIONS_TABLE = 'migrations';
const MIGRATION_TIMEOUT = 10 * 60_000;
const LOCK_TIMEOUT = 60_000;
/** Not the library's own number: an application that migrates the same database with it must not stop us. */
const LOCK_VALUE = 4_703_226_190;

function refuseNewer(catalog: Catalog, state: MigrationState): void {
  if (state.unknown.length === 0) return;
  throw new HoldfastError(
    'CatalogUnavailable',
    `The catalog at ${catalog.place} was migrated by a newer release of Holdfast (${state.unknown.join(', ')})`,
    { advice: 'Run the release that migrated it, or a later one.', retryable: false },
  );
}

async function schemaExists(client: Client): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [CATALOG_SCHEMA]);
  return rowCount === 1;
}
