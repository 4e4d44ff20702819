import type pg from 'pg';
import type { InventoryDetail } from '../config/schema.ts';
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
}

interface ColumnRow {
  readonly name: string;
  readonly nullable: boolean;
}

/** Every table with what `detail` asks for, by schema and name, which is about the order in which pg_dump reads them. */
export async function* readTables(client: pg.Client, detail: InventoryDetail): AsyncGenerator<InventoryTable> {
  const { rows: tables } = await client.query<TableRow>(`
    select c.oid::int8::text as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
           (select nullif(x.extcondition[array_position(x.extconfig, c.oid)], '') from pg_extension x
             where c.oid = any (x.extconfig)) as condition,
           c.relkind = 'r' and not (c.relpersistence = 'u' and pg_is_in_recovery()) as readable
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and ${DUMPED_RELATION}
     order by n.nspname, c.relname`);
  for (const table of tables) {
    const { schema, name } = table;
    const kind = table.kind === 'p' ? 'partitioned' : 'table';
    yield { schema, name, kind, ...(await readRows(client, table, detail)) };
  }
}

async function readRows(
  client: pg.Client,
  table: TableRow,
  detail: InventoryDetail,
): Promise<{ rows?: string; fingerprint?: string }> {
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
