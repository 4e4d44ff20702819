import type pg from 'pg';
import type { InventoryDetail } from '../config/schema.ts';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { fingerprintExpression } from './fingerprint.ts';
import { qualifiedName } from './identifiers.ts';
import type { InventoryTable } from './inventorySchema.ts';
import { DUMPED_RELATION } from './relations.ts';

interface TableRow {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'r' | 'p';
  /** Of an extension's table: which rows a dump carries, as a WHERE clause. */
  readonly condition: string | null;
  readonly readable: boolean;
  /** The partitioned table among whose partitions a restore distributes the rows anew. */
  readonly shuffled_within: string | null;
}

interface ColumnRow {
  readonly name: string;
  readonly nullable: boolean;
}

interface Rows {
  readonly rows?: string;
  readonly fingerprint?: string;
}

/**
 * Hashes of enum values are hashes of OIDs, which change with a dump and restore: such partitions are loaded through
 * their parent (pg_dump's own rule, "unsafe partitions"), and only the rows of all of them together stay the same.
 */
const SHUFFLED_WITHIN = `
  (select a.relid::oid::int8::text
     from pg_partition_ancestors(c.oid) with ordinality a(relid, depth)
     join pg_partitioned_table p on p.partrelid = a.relid
    where p.partstrat = 'h' and exists (
            select from unnest(p.partclass) k(oid) join pg_opclass o on o.oid = k.oid
             where o.opcname = 'enum_ops' and o.opcnamespace = 'pg_catalog'::regnamespace)
    order by a.depth desc limit 1)`;

/** Every table with what `detail` asks for, by schema and name, which is about the order in which pg_dump reads them. */
export async function* readTables(client: pg.Client, detail: InventoryDetail): AsyncGenerator<InventoryTable> {
  const { rows: tables } = await client.query<TableRow>(`
    select c.oid::int8::text as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
           (select nullif(x.extcondition[array_position(x.extconfig, c.oid)], '') from pg_extension x
             where c.oid = any (x.extconfig)) as condition,
           c.relkind = 'r' and not (c.relpersistence = 'u' and pg_is_in_recovery()) as readable,
           case when c.relispartition or c.relkind = 'p' then ${SHUFFLED_WITHIN} end as shuffled_within
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and ${DUMPED_RELATION}
     order by n.nspname, c.relname`);
  await client.query('savepoint tables');
  for (const table of tables) {
    const { schema, name } = table;
    const kind = table.kind === 'p' ? 'partitioned' : 'table';
    const read = () =>
      table.shuffled_within === null
        ? readRows(client, table, detail)
        : readShuffledRows(client, table, tables, detail);
    yield { schema, name, kind, ...(await resolvingNames(client, table, read)) };
  }
}

/** Undefined function, table, type or the like, schema. */
const UNRESOLVED = new Set(['42883', '42P01', '42704', '3F000']);

/**
 * To plan even a plain scan, the server opens the functions behind a table's indexes, and one that names something
 * without its schema is not understood under our search_path. Such a table is read under the database's own one. It can
 * be backed up; that it cannot be restored is for a drill to find.
 */
async function resolvingNames(client: pg.Client, { schema, name }: TableRow, read: () => Promise<Rows>): Promise<Rows> {
  try {
    return await read();
  } catch (error) {
    if (!UNRESOLVED.has(codeOf(error) ?? '')) throw error;
  }
  await client.query('rollback to savepoint tables');
  await client.query('set local search_path to default');
  try {
    return await read();
  } catch (cause) {
    throw new HoldfastError('DumpFailed', `${qualifiedName(schema, name)} cannot be counted: ${messageOf(cause)}`, {
      advice:
        'A function behind an index of it names something without its schema: ALTER FUNCTION ... SET search_path.',
      cause,
    });
  } finally {
    await client.query('rollback to savepoint tables');
  }
}

/** The partitioned table has the rows of all its partitions; they themselves have none. */
async function readShuffledRows(
  client: pg.Client,
  table: TableRow,
  tables: readonly TableRow[],
  detail: InventoryDetail,
): Promise<Rows> {
  if (table.shuffled_within !== table.oid) return {};
  const partitions = tables.filter((other) => other.shuffled_within === table.oid && other.readable);
  const each: Rows[] = [];
  for (const partition of partitions) each.push(await readRows(client, partition, detail));
  return {
    ...(detail === 'off' ? {} : { rows: sum(each.map(({ rows }) => rows)) }),
    ...(detail === 'fingerprints' ? { fingerprint: sum(each.map(({ fingerprint }) => fingerprint)) } : {}),
  };
}

function sum(decimals: readonly (string | undefined)[]): string {
  return decimals.reduce((total, decimal) => total + BigInt(decimal ?? 0), 0n).toString();
}

async function readRows(client: pg.Client, table: TableRow, detail: InventoryDetail): Promise<Rows> {
  if (detail === 'off' || !table.readable) return {};
  const from = `from only ${qualifiedName(table.schema, table.name)} t ${table.condition ?? ''}`;
  if (detail === 'counts') {
    const { rows } = await client.query<{ rows: string }>(`select count(*)::text as rows ${from}`);
    return rows[0] ?? {};
  }
  const { rows: columns } = await client.query<ColumnRow>(
    `select attname as name, not attnotnull as nullable from pg_attribute
      where attrelid = $1::oid and attnum > 0 and not attisdropped and attgenerated = ''
      order by attname collate "C"`,
    [table.oid],
  );
  const { rows } = await client.query<{ rows: string; fingerprint: string }>(
    `select count(*)::text as rows, ${fingerprintExpression(columns)} as fingerprint ${from}`,
  );
  return rows[0] ?? {};
}
