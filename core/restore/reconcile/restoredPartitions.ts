import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';
import { qualifiedName } from '../../postgres/identifiers.ts';
import type { TableName } from './compareInventories.ts';

/** Those of the tables that the database has, with all their partitions. Throws SourceUnreachable, SourceRefused. */
export async function withPartitions(
  database: DatabaseAccess,
  tables: readonly TableName[],
  signal?: AbortSignal,
): Promise<TableName[]> {
  const client = await connect(database, signal);
  try {
    // The tree of a table that is not partitioned is empty.
    const { rows } = await client.query<TableName>(
      `select distinct n.nspname as schema, c.relname as name
         from unnest($1::text[]) asked(name)
        cross join lateral (
          select to_regclass(asked.name) as oid union select relid from pg_partition_tree(to_regclass(asked.name))) tree
         join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace`,
      [tables.map(({ schema, name }) => qualifiedName(schema, name))],
    );
    return rows;
  } finally {
    await endSession(client);
  }
}
