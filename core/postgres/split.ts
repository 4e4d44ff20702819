import type pg from 'pg';
import { qualifiedName } from './identifiers.ts';
import { DUMPED_RELATION, OF_EXTENSION } from './relations.ts';

/** A table whose rows can be dumped apart from the rest. */
export interface SizedTable {
  /** Quoted and qualified. */
  readonly name: string;
  readonly bytes: number;
}

/** Below this a table costs more in another program's start than it saves. */
const SMALLEST_TABLE = 2 ** 20;
/** Every table is one argument, and one catalog query of pg_dump. */
const MOST_TABLES = 400;

/**
 * The largest tables of the snapshot, and the bytes of all other data: other tables and large objects.
 * Extension tables stay with the rest, because their rows can be filtered; so do names that an argument in UTF-8 would
 * not match in a database of another encoding.
 */
export async function readTableSizes(client: pg.Client): Promise<{ tables: SizedTable[]; restBytes: number }> {
  const { rows } = await client.query<{ schema: string; name: string; bytes: string; total: string }>(
    `with sized as (
       select n.nspname as schema, c.relname as name, pg_table_size(c.oid) as bytes,
              not ${OF_EXTENSION} and (getdatabaseencoding() = 'UTF8' or (n.nspname || c.relname) !~ '[^ -~]') as apart
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and ${DUMPED_RELATION})
     select schema, name, bytes,
            (select sum(bytes) from sized) + pg_table_size('pg_catalog.pg_largeobject') as total
       from sized where apart and bytes >= $1
      order by bytes desc, schema, name limit $2`,
    [SMALLEST_TABLE, MOST_TABLES],
  );
  const tables = rows.map((row) => ({ name: qualifiedName(row.schema, row.name), bytes: Number(row.bytes) }));
  const together = tables.reduce((sum, table) => sum + table.bytes, 0);
  return { tables, restBytes: Number(rows[0]?.total ?? 0) - together };
}

/**
 * Shares tables out so that `jobs` dumps end at about the same time: each, largest first, to whoever has least so far.
 * One of the dumps is the part `database`, which starts with `restBytes` (all that is not among `tables`) and keeps the
 * tables that fall to it; the result holds the tables of the others, at most `jobs - 1` lists, none empty.
 */
export function shareOut(tables: readonly SizedTable[], restBytes: number, jobs: number): SizedTable[][] {
  const database = { bytes: restBytes, tables: [] as SizedTable[] };
  const others = Array.from({ length: jobs - 1 }, () => ({ bytes: 0, tables: [] as SizedTable[] }));
  for (const table of tables.toSorted((a, b) => b.bytes - a.bytes)) {
    const least = [...others, database].reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.bytes += table.bytes;
    least.tables.push(table);
  }
  return others.map((other) => other.tables).filter((list) => list.length > 0);
}
