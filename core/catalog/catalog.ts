import { Client, Pool, type PoolClient, type QueryResultRow } from 'pg';
import { codeOf, HoldfastError, isHoldfastError, messageOf } from '../errors.ts';

/** The index of all backups, in the schema `holdfast` of a PostgreSQL database. Open until `close`. */
export interface Catalog {
  readonly pool: Pool;
  /** Where it is, without user or password: for messages. */
  readonly place: string;
  close(): Promise<void>;
}

/**
 * Prepares a catalog; the first query connects. `url` is a libpq connection URL and is a secret: it never shows in an
 * error. Throws InvalidConfiguration when it is no such URL.
 */
export function openCatalog(url: string): Catalog {
  const place = placeOf(url);
  const pool = new Pool({
    connectionString: url,
    max: 4,
    application_name: 'holdfast',
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    idleTimeoutMillis: 10_000,
    query_timeout: QUERY_TIMEOUT,
    statement_timeout: QUERY_TIMEOUT,
  });
  // An idle connection that the server drops is replaced by the pool; unheard, the event would end the process.
  pool.on('error', () => undefined);
  return { pool, place, close: () => pool.end() };
}

/** Opens a catalog, uses it, closes it. */
export async function withCatalog<Result>(url: string, use: (catalog: Catalog) => Promise<Result>): Promise<Result> {
  const catalog = openCatalog(url);
  try {
    return await use(catalog);
  } finally {
    await catalog.close();
  }
}

/** Runs one query. Throws CatalogUnavailable. */
export async function query<Row extends QueryResultRow>(
  catalog: Catalog,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  try {
    return (await catalog.pool.query<Row>(text, [...values])).rows;
  } catch (error) {
    throw catalogError(catalog.place, error);
  }
}

/** Runs `work` in one transaction, rolled back when it throws. Throws CatalogUnavailable, or what `work` throws itself. */
export async function inTransaction<Result>(
  catalog: Catalog,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  try {
    const client = await catalog.pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      client.release();
      return result;
    } catch (error) {
      // Closing the connection rolls back, even where a ROLLBACK could not be sent any more.
      client.release(true);
      throw error;
    }
  } catch (error) {
    throw catalogError(catalog.place, error);
  }
}

/** Turns what the driver throws into CatalogUnavailable that says where and what to do. HoldfastErrors pass. */
export function catalogError(place: string, error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const code = codeOf(error) ?? '';
  return new HoldfastError('CatalogUnavailable', `The catalog at ${place} cannot be used: ${messageOf(error)}`, {
    advice: adviceFor(code),
    retryable: !PERMANENT_CODES.includes(code),
    cause: error,
  });
}

const CONNECT_TIMEOUT = 10_000;
const QUERY_TIMEOUT = 30_000;

const NO_TABLE = '42P01';
const NO_COLUMN = '42703';
const NO_PRIVILEGE = '42501';
const NO_DATABASE = '3D000';
const WRONG_PASSWORD = '28P01';
const NOT_AUTHORIZED = '28000';

/** SQLSTATE classes that stay wrong however often they are tried (PostgreSQL, appendix A). */
const PERMANENT_CODES: readonly string[] = [
  NO_TABLE,
  NO_COLUMN,
  NO_PRIVILEGE,
  NO_DATABASE,
  WRONG_PASSWORD,
  NOT_AUTHORIZED,
];

function adviceFor(code: string): string {
  if (code === NO_TABLE || code === NO_COLUMN) {
    return 'Its schema is not migrated to this release: start `holdfast worker` once, which does it.';
  }
  if (code === NO_PRIVILEGE) {
    return 'Grant the role CREATE on the database, so that it can make the schema holdfast, or make it owner of that schema.';
  }
  if (code === NO_DATABASE) return 'Create the database, or correct catalog.url.';
  if (code === WRONG_PASSWORD || code === NOT_AUTHORIZED) return 'Correct the user and password in catalog.url.';
  return 'Check that the PostgreSQL server of catalog.url runs and is reachable from here.';
}

/** The driver's own reading of the URL, so that no form of it can leak a password. */
function placeOf(url: string): string {
  try {
    const { host, port, database } = new Client({ connectionString: url });
    return `${host}:${port}/${database}`;
  } catch {
    // The parser's error carries the URL itself, so it is no cause to keep.
    throw new HoldfastError('InvalidConfiguration', 'catalog.url is not a PostgreSQL connection URL', {
      advice: 'Give it the form postgresql://user:password@host:5432/database.',
    });
  }
}
