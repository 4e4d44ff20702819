import type pg from 'pg';
import { DUMPED_RELATION } from './relations.ts';

/** What a server says about itself and the database one is connected to. */
export interface ServerFacts {
  /** E.g. `15.18`. */
  readonly version: string;
  readonly major: number;
  readonly encoding: string;
  /** pg_control's; absent where the role may not read it. */
  readonly systemIdentifier?: string;
  /** pg_database_size(), in bytes. */
  readonly bytes: number;
  /** Tables of the user, partitions counted each, partitioned parents not. */
  readonly tables: number;
  /** A standby. */
  readonly recovering: boolean;
}

interface ServerRow {
  readonly version: string;
  readonly number: number;
  readonly encoding: string;
  readonly may_read_control: boolean;
  readonly bytes: string;
  readonly tables: number;
  readonly recovering: boolean;
}

export async function readServer(client: pg.Client): Promise<ServerFacts> {
  const { rows } = await client.query<ServerRow>(`
    select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
           getdatabaseencoding() as encoding, pg_is_in_recovery() as recovering,
           has_function_privilege('pg_catalog.pg_control_system()', 'execute') as may_read_control,
           pg_database_size(current_database()) as bytes, t.tables
      from (select count(*)::int as tables
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and ${DUMPED_RELATION}) t`);
  const row = rows[0];
  if (!row) throw new TypeError('a select without a from list gives one row');
  return {
    version: row.version.split(' ')[0] ?? row.version,
    major: Math.floor(row.number / 10_000),
    encoding: row.encoding,
    ...(row.may_read_control ? { systemIdentifier: await readSystemIdentifier(client) } : {}),
    bytes: Number(row.bytes),
    tables: row.tables,
    recovering: row.recovering,
  };
}

async function readSystemIdentifier(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ id: string }>('select system_identifier::text as id from pg_control_system()');
  return rows[0]?.id ?? '';
}
