import { distance } from 'fastest-levenshtein';
import { HoldfastError } from '../../errors.ts';
import type { Inventory, InventoryTable } from '../../postgres/inventorySchema.ts';
import type { ArchiveEntry } from './archiveEntries.ts';
import { shownName, type TableName } from '../reconcile/compareInventories.ts';

export interface TableSelection {
  /** Of the definitions' archive, in its own order. */
  readonly entries: readonly ArchiveEntry[];
  /** Arguments that choose the rows, for one pg_restore after the other: two schemas can have tables of one name. */
  readonly rows: readonly (readonly string[])[];
  readonly warnings: readonly string[];
}

/**
 * Tables by the names somebody typed: `schema.table`, quoted or not, or `table` where only one schema has it. Throws
 * InvalidInput naming the nearest.
 */
export function resolveTables(inventory: Inventory, names: readonly string[]): InventoryTable[] {
  return names.map((asked) => {
    const exact = inventory.tables.filter(
      (table) => shownName(table) === asked || `${table.schema}.${table.name}` === asked,
    );
    const found = exact.length > 0 ? exact : inventory.tables.filter(({ name }) => name === asked);
    if (found.length === 1 && found[0]) return found[0];
    const near = found.length > 0 ? found : nearest(inventory, asked);
    throw new HoldfastError(
      'InvalidInput',
      found.length > 1 ? `More than one schema has a table ${asked}` : `The backup has no table ${asked}`,
      { advice: near.length === 0 ? 'It has no table at all.' : `It has: ${near.map(shownName).join(', ')}.` },
    );
  });
}

function nearest({ tables }: Inventory, asked: string): InventoryTable[] {
  const far = (table: InventoryTable) => Math.min(distance(asked, shownName(table)), distance(asked, table.name));
  return tables.toSorted((a, b) => far(a) - far(b)).slice(0, 5);
}

/**
 * What of a backup makes these tables: they with their partitions, what their definitions need (schemas, types,
 * functions, extensions, parents), and what hangs on them (defaults, sequences, indexes, constraints, triggers, policies,
 * comments, privileges) as far as that needs no other table.
 */
export function selectTables(
  entries: readonly ArchiveEntry[],
  inventory: Inventory,
  tables: readonly InventoryTable[],
): TableSelection {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const chosen = withPartitions(
    entries,
    byId,
    entries.filter((entry) => entry.kind === 'TABLE' && tables.some((table) => isNamed(entry, table))),
  );
  const included = new Set<number>();
  for (const { id } of chosen) for (const needed of closureOf(id, byId)) included.add(needed);
  const hanging = entries.filter(({ kind }) => HANGING.has(kind));
  for (let grown = true; grown;) {
    grown = false;
    for (const entry of hanging) {
      if (included.has(entry.id) || !entry.dependsOn.some((id) => included.has(id))) continue;
      const closure = closureOf(entry.id, byId);
      if (closure.some((id) => isRelation(byId.get(id)) && !included.has(id))) continue;
      for (const id of closure) included.add(id);
      grown = true;
    }
  }
  // Entries that belong to a table have its name before their own.
  const owners = chosen.map(({ rest }) => rest.replace(/[^ ]*$/, ''));
  const leftOut = hanging.filter(({ id, rest }) => !included.has(id) && owners.some((owner) => rest.startsWith(owner)));
  const list = entries.filter((entry) => included.has(entry.id) || isSchemaOf(entry, tables));
  const definedOnly = list.filter((entry) => entry.kind === 'TABLE' && !chosen.includes(entry));
  return {
    entries: list,
    rows: rowArguments([
      ...inventory.tables.filter((table) => chosen.some((entry) => isNamed(entry, table))),
      ...inventory.sequences.filter((sequence) =>
        list.some((entry) => entry.kind === 'SEQUENCE' && isNamed(entry, sequence)),
      ),
    ]),
    warnings: [
      ...definedOnly.map(
        ({ rest }) => `Without its rows, because only its definition is needed: table ${rest.replace(/ [^ ]*$/, '')}`,
      ),
      ...leftOut.map(
        ({ kind, rest }) =>
          `Left out, because it needs another table: ${kind.toLowerCase()} ${rest.replace(/ [^ ]*$/, '')}`,
      ),
      ...(inventory.largeObjects.count === '0' ? [] : ['Large objects are not restored with single tables.']),
    ],
  };
}

/** What is made with a table; of the archive's sections pre-data and post-data. */
const HANGING = new Set([
  'ACL',
  'CHECK CONSTRAINT',
  'COMMENT',
  'CONSTRAINT',
  'DEFAULT',
  'FK CONSTRAINT',
  'INDEX',
  'INDEX ATTACH',
  'POLICY',
  'ROW SECURITY',
  'RULE',
  'SECURITY LABEL',
  'SEQUENCE',
  'SEQUENCE OWNED BY',
  'STATISTICS',
  'TABLE ATTACH',
  'TRIGGER',
]);

const RELATIONS = new Set(['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW']);

function isRelation(entry: ArchiveEntry | undefined): boolean {
  return entry !== undefined && RELATIONS.has(entry.kind);
}

function isNamed(entry: ArchiveEntry, { schema, name }: TableName): boolean {
  return entry.rest.startsWith(`${schema} ${name} `);
}

function isSchemaOf({ kind, rest }: ArchiveEntry, tables: readonly TableName[]): boolean {
  return kind === 'SCHEMA' && tables.some(({ schema }) => rest.startsWith(`- ${schema} `));
}

/** An entry TABLE ATTACH has the partition's name, and needs it and its parent. */
function withPartitions(
  entries: readonly ArchiveEntry[],
  byId: ReadonlyMap<number, ArchiveEntry>,
  tables: readonly ArchiveEntry[],
): ArchiveEntry[] {
  const chosen = new Set(tables);
  const attachments = entries
    .filter(({ kind }) => kind === 'TABLE ATTACH')
    .map(({ rest, dependsOn }) => {
      const both = dependsOn.flatMap((id) => byId.get(id) ?? []).filter(({ kind }) => kind === 'TABLE');
      return { partition: both.find((each) => each.rest === rest), parent: both.find((each) => each.rest !== rest) };
    });
  for (let grown = true; grown;) {
    grown = false;
    for (const { partition, parent } of attachments) {
      if (!partition || !parent || !chosen.has(parent) || chosen.has(partition)) continue;
      chosen.add(partition);
      grown = true;
    }
  }
  return [...chosen];
}

/** The entry and all it needs. */
function closureOf(id: number, byId: ReadonlyMap<number, ArchiveEntry>): number[] {
  const seen = new Set<number>();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const entry = byId.get(next);
    if (entry === undefined || seen.has(next)) continue;
    seen.add(next);
    waiting.push(...entry.dependsOn);
  }
  return [...seen];
}

/** pg_restore takes names as they are, no patterns; `--table` is for sequences too. */
function rowArguments(relations: readonly TableName[]): string[][] {
  const schemas = new Map<string, string[]>();
  for (const { schema, name } of relations) schemas.set(schema, [...(schemas.get(schema) ?? []), name]);
  return [...schemas].map(([schema, names]) => [`--schema=${schema}`, ...names.map((name) => `--table=${name}`)]);
}
