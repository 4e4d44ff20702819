import type { Client } from 'pg';

/** What a database holds, by name: row count and an order-independent fingerprint, large objects included. */
export type DatabaseContents = Readonly<Record<string, { readonly rows: number; readonly fingerprint: string }>>;

/** Reads the contents of every table, materialized view and large object, whatever row-level security says. */
export async function readContents(client: Client): Promise<DatabaseContents> {
  await client.query('set row_security = off');
  const { rows: relations } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
     order by 1`,
  );
  const contents: Record<string, { rows: number; fingerprint: string }> = {};
  for (const { name } of relations) contents[name] = await measure(client, `select t::text as value from ${name} t`);
  contents['large objects'] = await measure(
    client,
    'select oid::text || md5(lo_get(oid)) as value from pg_largeobject_metadata',
  );
  return contents;
}

/** The names of everything that differs between two databases. */
export function differences(left: DatabaseContents, right: DatabaseContents): string[] {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].filter(
    (name) => left[name]?.rows !== right[name]?.rows || left[name]?.fingerprint !== right[name]?.fingerprint,
  );
}

async function measure(client: Client, values: string): Promise<{ rows: number; fingerprint: string }> {
  const { rows } = await client.query<{ rows: string; fingerprint: string }>(
    `select count(*) as rows, coalesce(sum(hashtextextended(value, 0)), 0)::text as fingerprint from (${values}) v`,
  );
  const [row] = rows;
  if (row === undefined) throw new TypeError('an aggregate without groups has one row');
  return { rows: Number(row.rows), fingerprint: row.fingerprint };
}
