import type { Inventory, InventoryTable, NotCarried } from '../../postgres/inventorySchema.ts';
import { compareInventories, shownName } from './compareInventories.ts';
import { DIFFERENCES_SHOWN, type Difference, type ReconcileOptions, type Reconciliation } from '../run.ts';
import { resolveTables } from '../database/selectTables.ts';
import { checkSequences } from './sequenceChecks.ts';
import { withPartitions } from './restoredPartitions.ts';
import { takeInventory } from './takeInventory.ts';
import { ownComment } from '../database/targetMark.ts';

/**
 * Holds a restored database against the inventory that was taken in the dump's own snapshot: every table's rows and
 * fingerprint, every definition, owner, privilege and comment, extensions, roles, settings, sequences, large objects.
 * The same code takes both inventories. Throws SourceUnreachable, SourceRefused, and the signal's reason.
 */
export async function reconcile(options: ReconcileOptions): Promise<Reconciliation> {
  const begun = performance.now();
  const { database, expected } = options;
  const signal = options.signal ?? new AbortController().signal;
  const found = withoutMark(await takeInventory(database, expected.detail, signal));
  const wanted = options.tables && resolveTables(expected, options.tables);
  const withRows = wanted && (await withPartitions(database, wanted, signal));
  const differences = [
    ...compareInventories(expected, found, options, withRows),
    ...(wanted ? missingTables(wanted, found) : []),
    ...(await checkSequences(database, expected.sequences, found.sequences, signal)),
  ].toSorted((a, b) => Number(a.severity === 'remark') - Number(b.severity === 'remark'));
  return {
    equal: differences.every(({ severity }) => severity === 'remark'),
    differences: differences.slice(0, DIFFERENCES_SHOWN),
    differenceCount: differences.filter(({ severity }) => severity === 'difference').length,
    compared: {
      tables: found.tables.length,
      ...(expected.detail !== 'off' && {
        rows: found.tables.reduce((sum, { rows }) => sum + BigInt(rows ?? 0), 0n).toString(),
      }),
      sequences: found.sequences.length,
      objects: found.objects.length,
      largeObjects: found.largeObjects.count,
    },
    notCarried: notCarried(expected),
    notices: noticesOf(expected, found, differences),
    duration: Math.round(performance.now() - begun),
  };
}

/** A restore that is not over keeps its mark before the database's own comment. */
function withoutMark({ database: { comment, ...database }, ...inventory }: Inventory): Inventory {
  const own = ownComment(comment);
  return { ...inventory, database: { ...database, ...(own !== null && { comment: own }) } };
}

function missingTables(wanted: readonly InventoryTable[], found: Inventory): Difference[] {
  const there = new Set(found.tables.map(shownName));
  return wanted
    .map(shownName)
    .filter((name) => !there.has(name))
    .map((object) => ({
      severity: 'difference',
      kind: 'table',
      object,
      what: 'presence',
      expected: 'there',
      found: 'missing',
    }));
}

const WHY: Readonly<Record<NotCarried['kind'], string>> = {
  'replication slot': 'is not restored: make it again where something reads from it',
  subscription: 'is not in the backup: the role that dumped is no superuser, and pg_dump leaves it out',
  'subscription state': 'is restored disabled and without its state: enable it, or drop it, by hand',
  'prepared transaction': 'waited for its second phase and is not in the backup',
  'rows of foreign table': 'live on another server and are not in the backup',
  'rows of unlogged table': 'were not on the standby that was dumped',
  'invalid index': 'was not usable at the source and is not restored',
  'security label': 'is restored only where its provider is loaded',
  'security label of database': 'is not restored: set it again where its provider is loaded',
  'object in a system schema': 'is in no dump: make it again, in a schema of your own',
  'order of columns': 'changes in a restore, inherited ones come first: let statements name their columns',
  'identity of partition':
    'is lost in a dump and restore: rows that name this partition itself must bring the value; through its parent none need',
  'owner of extension': 'is not restored: the extension belongs to the role that restores',
  'enabled state of constraint':
    'is not restored, it is enforced again: ALTER TABLE ... DISABLE TRIGGER ALL, or ENABLE REPLICA, as a superuser sets it as it was',
  'options of user mapping': 'could not be read by the role that dumped',
};

function notCarried(expected: Inventory): string[] {
  const listed = (expected.notCarried ?? []).map(({ kind, name }) => `${kind} ${name} ${WHY[kind]}`);
  return [
    ...listed,
    'Settings of the server (postgresql.conf, pg_hba.conf, ALTER SYSTEM) are in no backup of a database.',
  ];
}

const DEFINITIONS_COMPARED =
  'Definitions are compared by hashes. To see what differs, compare the dumped SQL (holdfast extract BACKUP --part schema --as sql; holdfast recover extract) with pg_dump --schema-only of the restored database; after a restore that failed, of one made of the same backup with pg_restore.';

function noticesOf(expected: Inventory, found: Inventory, differences: readonly Difference[]): string[] {
  const tasks = found.taskTables ?? [];
  const cases = [
    differences.some(({ what }) => what === 'definition') && DEFINITIONS_COMPARED,
    tasks.length > 0 &&
      `Tasks wait in ${tasks.join(', ')}: they run as soon as the application's workers or the scheduler start on this database.`,
    expected.detail !== 'fingerprints' &&
      `The backup has no fingerprints of its tables (inventory: ${expected.detail}): only ${expected.detail === 'counts' ? 'numbers of rows' : 'that tables are there'} could be compared.`,
  ];
  return cases.filter((notice) => notice !== false);
}
