import type pg from 'pg';
import { connect, endSession, queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { qualifiedName, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { DUMPED_RELATION } from '../../postgres/relations.ts';
import { shownName } from './compareInventories.ts';
import type { Difference } from '../run.ts';

type Sequence = Inventory['sequences'][number];

/** A column that a sequence fills, and the furthest value in it. */
interface FilledColumn {
  readonly column: string;
  readonly ascending: boolean;
  /** Undefined: no row has one. */
  readonly furthest: bigint | undefined;
}

/**
 * Compares the values of sequences, and holds each against the columns it fills: the next row must not meet one that is
 * there. A dump of a busy database reads a sequence a little before or after the inventory does, so another value is a
 * difference only where the sequence stands at its start or behind its column.
 */
export async function checkSequences(
  database: DatabaseAccess,
  expected: readonly Sequence[],
  found: readonly Sequence[],
  signal?: AbortSignal,
): Promise<Difference[]> {
  const client = await connect(database, signal);
  try {
    const filled = await readFilledColumns(client);
    const before = new Map(expected.map((sequence) => [shownName(sequence), sequence]));
    return found.flatMap((sequence) => {
      const was = before.get(shownName(sequence));
      const columns = filled.get(shownName(sequence)) ?? [];
      return was === undefined ? [] : compareSequence(was, sequence, columns);
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw queryError(database, 'comparing sequences with their columns', error);
  } finally {
    await endSession(client);
  }
}

function compareSequence(was: Sequence, is: Sequence, columns: readonly FilledColumn[]): Difference[] {
  const equal = shownValue(was) === shownValue(is);
  const about = { kind: 'sequence', object: shownName(is) };
  const behind = columns.flatMap(({ column, ascending, furthest }): Difference[] => {
    if (furthest === undefined || !wouldCollide(is, ascending, furthest)) return [];
    // What was behind already at the source came as it was.
    const severity = equal ? 'remark' : 'difference';
    return [
      { ...about, severity, what: `value against ${column}`, expected: `beyond ${furthest}`, found: shownValue(is) },
    ];
  });
  if (equal || behind.length > 0) return behind;
  const severity = was.isCalled && !is.isCalled ? 'difference' : 'remark';
  return [{ ...about, severity, what: 'value', expected: shownValue(was), found: shownValue(is) }];
}

function wouldCollide({ lastValue, isCalled }: Sequence, ascending: boolean, furthest: bigint): boolean {
  const last = BigInt(lastValue);
  if (isCalled) return ascending ? last < furthest : last > furthest;
  return ascending ? last <= furthest : last >= furthest;
}

function shownValue({ lastValue, isCalled }: Sequence): string {
  return isCalled ? lastValue : `${lastValue}, not used yet`;
}

interface FilledRow {
  readonly schema: string;
  readonly name: string;
  readonly ascending: boolean;
  readonly table_schema: string;
  readonly table_name: string;
  readonly column_name: string;
  readonly shown: string;
}

/** Owned columns (serial, identity) and those whose default uses the sequence; of integer types, and none that cycles. */
const FILLED_COLUMNS = `
  with uses as (
    select d.objid as sequence, d.refobjid as relation, d.refobjsubid::int2 as number from pg_depend d
     where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
    union
    select d.refobjid, a.adrelid, a.adnum from pg_depend d join pg_attrdef a on a.oid = d.objid
     where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass)
  select n.nspname as schema, c.relname as name, s.seqincrement > 0 as ascending, tn.nspname as table_schema, t.relname as table_name,
         a.attname as column_name, format('%I.%I.%I', tn.nspname, t.relname, a.attname) as shown
    from uses u
    join pg_class c on c.oid = u.sequence and c.relkind = 'S' join pg_namespace n on n.oid = c.relnamespace
    join pg_sequence s on s.seqrelid = c.oid and not s.seqcycle
    join pg_class t on t.oid = u.relation and t.relkind in ('r', 'p') join pg_namespace tn on tn.oid = t.relnamespace
    join pg_attribute a on a.attrelid = t.oid and a.attnum = u.number and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
   where ${DUMPED_RELATION}`;

async function readFilledColumns(client: pg.Client): Promise<Map<string, FilledColumn[]>> {
  const { rows } = await client.query<FilledRow>(FILLED_COLUMNS);
  const filled = new Map<string, FilledColumn[]>();
  for (const row of rows) {
    const { rows: values } = await client.query<{ furthest: string | null }>(
      `select ${row.ascending ? 'max' : 'min'}(t.${quoteIdentifier(row.column_name)})::text as furthest from ${qualifiedName(row.table_schema, row.table_name)} t`,
    );
    const furthest = values[0]?.furthest ?? undefined;
    const column = {
      column: row.shown,
      ascending: row.ascending,
      furthest: furthest === undefined ? undefined : BigInt(furthest),
    };
    filled.set(shownName(row), [...(filled.get(shownName(row)) ?? []), column]);
  }
  return filled;
}
