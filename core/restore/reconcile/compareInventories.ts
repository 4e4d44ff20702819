import { isNameList, splitNameList } from '../../postgres/databaseSettings.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Inventory, InventoryObject, InventoryTable } from '../../postgres/inventorySchema.ts';
import { bare, majorOf } from './acrossMajors.ts';
import { compareLists } from './compareLists.ts';
import { compareGrantors, compareSystemPrivileges } from './comparePrivileges.ts';
import type { Difference, RestoreScope } from '../run.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/**
 * Everything of two inventories but the values of sequences, which need a look into the database (sequenceChecks.ts).
 * Across major versions the same definition can be printed in another way, and extensions come in the version that the newer
 * server has: then a definition or version that differs is a remark. Of single tables, `withRows` are those whose rows were restored.
 */
export function compareInventories(
  expected: Inventory,
  found: Inventory,
  scope: RestoreScope,
  withRows: readonly TableName[] = [],
): Difference[] {
  if (scope.tables) return compareSomeTables(expected, found, withRows);
  return eachOnce([
    ...compareDatabases(expected, found, scope),
    ...compareExtensions(expected, found),
    ...compareRoles(expected, found, scope),
    ...compareLargeObjects(expected, found, scope),
    ...compareNames('migration table', expected.migrationTables, found.migrationTables),
    ...compareNames('table of tasks', expected.taskTables ?? [], expected.taskTables ? (found.taskTables ?? []) : []),
    ...compareTables(expected.tables, found.tables),
    ...compareSequencesPresent(expected, found),
    ...compareObjects(expected, found, scope),
    ...(scope.noOwner === true || scope.noPrivileges === true
      ? []
      : [...compareSystemPrivileges(expected, found), ...compareGrantors(expected, found)]),
  ]);
}

/** Tables and extensions stand in lists of their own and among the objects. */
function eachOnce(differences: readonly Difference[]): Difference[] {
  const seen = new Set<string>();
  return differences.filter(({ kind, object, what }) => {
    const key = `${kind}\0${object}\0${what}`;
    const first = !seen.has(key);
    seen.add(key);
    return first;
  });
}

/** `public.orders`, with quotes where a name needs them. */
export function shownName({ schema, name }: TableName): string {
  return [schema, name].map((word) => (/^[a-z_][a-z0-9_$]*$/.test(word) ? word : quoteIdentifier(word))).join('.');
}

function compareDatabases(expected: Inventory, found: Inventory, scope: RestoreScope): Difference[] {
  const providers = expected.database.localeProvider !== undefined && found.database.localeProvider !== undefined;
  const owners = scope.noOwner !== true;
  const privileges = owners && scope.noPrivileges !== true;
  const name = found.database.name;
  return [
    ...compareLists<Inventory['database']>({
      kind: 'database',
      expected: [expected.database],
      found: [found.database],
      nameOf: () => name,
      fields: {
        encoding: ({ encoding }) => encoding,
        collation: ({ collate }) => collate,
        'character types': ({ ctype }) => ctype,
        ...(providers && {
          'locale provider': ({ localeProvider }) => localeProvider,
          locale: ({ locale }) => canonicalLocale(locale),
        }),
        tablespace: ({ tablespace }) => tablespace,
        template: ({ template = false }) => String(template),
        comment: ({ comment }) => comment,
        ...(owners && { owner: ({ owner }) => owner }),
        ...(privileges && { privileges: (database) => database.privileges }),
      },
    }),
    ...compareSettings(expected, found, owners),
  ];
}

/** ICU's locales: servers before 16 keep them as they were typed (`de_DE`), later ones as language tags (`de-DE`). */
function canonicalLocale(locale: string | undefined): string | undefined {
  try {
    return locale && Intl.getCanonicalLocales(locale.replaceAll('_', '-'))[0];
  } catch {
    // Not a language tag, such as C.UTF-8 of the builtin provider.
    return locale;
  }
}

type Setting = Inventory['database']['settings'][number];

/** Values may be secrets of the application's, and are not told. Settings of single roles go with the owners. */
function compareSettings(expected: Inventory, found: Inventory, withRoles: boolean): Difference[] {
  const settingsOf = ({ database }: Inventory) => database.settings.filter(({ role }) => withRoles || role === null);
  return compareLists<Setting>({
    kind: 'database setting',
    expected: settingsOf(expected),
    found: settingsOf(found),
    nameOf: ({ role, name }) => (role === null ? name : `${name} of role ${role}`),
    // Lists of names are kept with quotes or without, as they were set.
    fields: { value: ({ name, value }) => (isNameList(name) ? JSON.stringify(splitNameList(value)) : value) },
  }).map((each) => (each.what === 'value' ? { ...each, expected: 'the dumped one', found: 'another' } : each));
}

function compareExtensions(expected: Inventory, found: Inventory): Difference[] {
  return compareLists<Inventory['extensions'][number]>({
    kind: 'extension',
    expected: expected.extensions,
    found: found.extensions,
    nameOf: ({ name }) => name,
    fields: { version: ({ version }) => version, schema: ({ schema }) => schema },
    severityOf: (field) => (field === 'version' && majorOf(expected) !== majorOf(found) ? 'remark' : 'difference'),
  });
}

type Role = Inventory['roles'][number];
const flag = (read: (role: Role) => boolean) => (role: Role) => (read(role) ? 'yes' : 'no');

/**
 * Which roles the database names is its own; what they may otherwise do, and of which roles they are members, is the
 * server's. A role that is there only because others are members of it is told with those.
 */
function compareRoles(expected: Inventory, found: Inventory, { noOwner, noPrivileges }: RestoreScope): Difference[] {
  if (noOwner === true || noPrivileges === true) return [];
  const there = new Set(found.roles.map(({ name }) => name));
  return compareLists<Role>({
    kind: 'role',
    expected: expected.roles.filter((role) => there.has(role.name) || isNamed(role, expected)),
    found: found.roles,
    nameOf: ({ name }) => name,
    fields: {
      superuser: flag((role) => role.superuser),
      'create role': flag((role) => role.createRole),
      'create database': flag((role) => role.createDatabase),
      inherit: flag((role) => role.inherit),
      login: flag((role) => role.login),
      replication: flag((role) => role.replication),
      'bypass row security': flag((role) => role.bypassRowSecurity),
      'member of': ({ memberOf }) => memberOf.join(', '),
    },
    severityOf: () => 'remark',
    partial: true,
  }).map((each) =>
    // It can be on the server all the same.
    each.what === 'presence'
      ? { ...each, what: 'use', expected: 'something in the database names it', found: 'nothing does' }
      : each,
  );
}

/** Inventories of earlier releases do not tell: then one that another role is a member of may be there for that alone. */
export function isNamed({ name, named }: Role, { roles }: Inventory): boolean {
  return named ?? !roles.some(({ memberOf }) => memberOf.includes(name));
}

function compareLargeObjects(expected: Inventory, found: Inventory, scope: RestoreScope): Difference[] {
  const kept = scope.noOwner !== true && scope.noPrivileges !== true;
  return compareLists<Inventory['largeObjects']>({
    kind: 'large objects',
    expected: [expected.largeObjects],
    found: [found.largeObjects],
    nameOf: () => 'all',
    fields: {
      count: ({ count }) => count,
      contents: ({ fingerprint }) => fingerprint,
      ...(kept && { 'owners, privileges or comments': ({ privileges }) => privileges }),
    },
  });
}

function compareNames(kind: string, expected: readonly string[], found: readonly string[]): Difference[] {
  return compareLists<string>({ kind, expected, found, nameOf: (name) => name, fields: {} });
}

function compareTables(expected: readonly InventoryTable[], found: readonly InventoryTable[]): Difference[] {
  return compareLists<InventoryTable>({
    kind: 'table',
    expected,
    found,
    nameOf: shownName,
    fields: { kind: ({ kind }) => kind, rows: ({ rows }) => rows, contents: ({ fingerprint }) => fingerprint },
  });
}

/** The found tables, whichever these are. One of which others need only the definition has to be empty. */
function compareSomeTables(expected: Inventory, found: Inventory, withRows: readonly TableName[]): Difference[] {
  const there = new Set(found.tables.map(shownName));
  const filled = new Set(withRows.map(shownName));
  const asRestored = (table: InventoryTable): InventoryTable => {
    if (filled.has(shownName(table))) return table;
    return { ...table, rows: table.rows && '0', fingerprint: table.fingerprint && '0' };
  };
  return compareTables(expected.tables.filter((table) => there.has(shownName(table))).map(asRestored), found.tables);
}

function compareSequencesPresent(expected: Inventory, found: Inventory): Difference[] {
  return compareLists<Inventory['sequences'][number]>({
    kind: 'sequence',
    expected: expected.sequences,
    found: found.sequences,
    nameOf: shownName,
    fields: { 'owning column': ({ ownedBy }) => ownedBy && bare(ownedBy) },
  });
}

function compareObjects(expected: Inventory, found: Inventory, scope: RestoreScope): Difference[] {
  const owners = scope.noOwner !== true;
  const privileges = owners && scope.noPrivileges !== true;
  const sameVersion = majorOf(expected) === majorOf(found);
  // Privileges of columns are in the definition of their table; a restore without any cannot be told apart there.
  const certain = sameVersion && privileges;
  // pg_dump before 15 leaves the comment of the schema public out.
  const ofPublic = (kind: string, identity: string) =>
    majorOf(expected) < 15 && kind === 'schema' && identity === 'public';
  const compared = ({ objects }: Inventory) => objects.filter(({ kind }) => privileges || kind !== 'default acl');
  return compareLists<InventoryObject>({
    kind: ({ kind }) => kind,
    expected: compared(expected),
    found: compared(found),
    nameOf: ({ identity }) => (sameVersion ? identity : bare(identity)),
    fields: {
      definition: ({ definition }) => definition,
      comment: ({ comment }) => comment,
      ...(owners && { owner: ({ owner }) => owner }),
      ...(privileges && { privileges: (object) => object.privileges }),
    },
    severityOf: (field, { kind, identity }) =>
      (field === 'definition' && !certain) || (field === 'comment' && ofPublic(kind, identity))
        ? 'remark'
        : 'difference',
  }).map(asDigest);
}

/** Digests tell nobody anything, and texts are not kept: definitions, of user mappings for one, can hold passwords. */
function asDigest(difference: Difference): Difference {
  if (!DIGESTS.has(difference.what)) return difference;
  const { expected, found } = difference;
  return {
    ...difference,
    expected: expected === 'none' ? expected : 'the dumped one',
    found: found === 'none' ? found : 'another',
  };
}

const DIGESTS = new Set(['definition', 'comment', 'privileges']);
