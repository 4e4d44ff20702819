import type pg from 'pg';
import { codeOf } from '../../errors.ts';
import { settingAssignment } from '../../postgres/databaseSettings.ts';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { resolveTables } from '../database/selectTables.ts';
import { shownName, type TableName } from '../reconcile/compareInventories.ts';
import type { Finding } from '../../postgres/finding.ts';
import { failure, warning } from './finding.ts';
import type { Lack } from './ownerFindings.ts';
import type { PreflightTargetOptions } from '../run.ts';
import type { RoleOnServer } from './roleOnServer.ts';
import { tryStatement } from './tryStatement.ts';

/** What a role that is no superuser must be allowed beside owning what it restores: else the restore fails at it. */
export async function rightsFindings(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  { description: { inventory }, noOwner = false, noPrivileges = false, tables }: PreflightTargetOptions,
): Promise<Finding[]> {
  if (role.superuser) return [];
  const settings = inventory.database.settings.filter((each) => each.role === null || !noOwner);
  return [
    ...(await parameterFindings(client, role, serverMajor, settings)),
    ...(await roleSettingFindings(client, role, serverMajor, settings)),
    ...(noPrivileges ? [] : grantorFindings(role, inventory, tables !== undefined)),
    ...(noPrivileges || tables ? [] : systemPrivilegeFindings(role, inventory)),
    ...forcedSecurityLacks(role, comparedUnderSecurity(inventory, tables)).map(({ message, advice }) =>
      failure(message, advice),
    ),
    ...(noPrivileges || noOwner ? [] : await closedFindings(client, role, inventory, tables !== undefined)),
  ];
}

type Settings = Inventory['database']['settings'];

/** A role may set for itself in a database what it may set for a database of its own (AlterSetting). */
async function parameterFindings(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  settings: Settings,
): Promise<Finding[]> {
  const refused = new Set<string>();
  for (const setting of settings) {
    if (refused.has(setting.name)) continue;
    const error = await tryStatement(
      client,
      `ALTER ROLE CURRENT_USER IN DATABASE ${here(client)} ${settingAssignment(setting)}`,
    );
    if (codeOf(error) === NOT_ALLOWED) refused.add(setting.name);
  }
  if (refused.size === 0) return [];
  const names = [...refused].map((name) => name.split('.').map(quoteIdentifier).join('.'));
  return [
    failure(
      `role ${role.name} may not set ${cutList(names)} for a database, as the one that was dumped has it`,
      serverMajor >= 15
        ? `GRANT SET ON PARAMETER ${names.join(', ')} TO ${quoteIdentifier(role.name)};`
        : 'Restore as a superuser: nobody else may before PostgreSQL 15.',
    ),
  ];
}

/** Of roles that are there: a missing one is told of elsewhere, or will be made. */
async function roleSettingFindings(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  settings: Settings,
): Promise<Finding[]> {
  const names = [...new Set(settings.flatMap((setting) => setting.role ?? []))];
  const { rows } = await client.query<{ name: string; superuser: boolean }>(
    'select rolname as name, rolsuper as superuser from pg_roles where rolname = any ($1) order by 1',
    [names],
  );
  const refused: typeof rows = [];
  for (const each of rows) {
    const sql = `ALTER ROLE ${quoteIdentifier(each.name)} IN DATABASE ${here(client)} SET work_mem TO '4MB'`;
    if (codeOf(await tryStatement(client, sql)) === NOT_ALLOWED) refused.push(each);
  }
  if (refused.length === 0) return [];
  const own = quoteIdentifier(role.name);
  const grants =
    serverMajor >= 16 ? refused.map(({ name }) => ` GRANT ${quoteIdentifier(name)} TO ${own} WITH ADMIN OPTION;`) : [];
  return [
    failure(
      `role ${role.name} may not set what the dumped database sets for ${cutList(refused.map(({ name }) => quoteIdentifier(name)))}`,
      refused.some(({ superuser }) => superuser)
        ? 'Restore as a superuser, or leave owners out: these settings go with them.'
        : `ALTER ROLE ${own} CREATEROLE;${grants.join('')}`,
    ),
  ];
}

/** pg_dump has such a grant made by who made it, in a session as that role. */
function grantorFindings(role: RoleOnServer, { needs }: Inventory, some: boolean): Finding[] {
  const grantors = (needs?.grantors ?? []).filter(({ grantor }) => grantor !== role.name);
  if (grantors.length === 0) return [];
  const named = grantors.map(({ grantor, objects }) => `${quoteIdentifier(grantor)} on ${cutList(objects)}`);
  const finding = failure(
    `privileges were granted by others than the owner, which only a superuser can restore: by ${named.join('; by ')}`,
    'Restore as a superuser, or leave privileges out (--no-privileges).',
  );
  return [some ? { ...finding, severity: 'warning' } : finding];
}

/** The restored rows are counted, unless the backup has no numbers to compare them with. */
function comparedUnderSecurity(inventory: Inventory, chosen: readonly string[] | undefined): TableName[] {
  const compared = (chosen ? resolveTables(inventory, chosen) : inventory.tables).filter(
    ({ rows }) => rows !== undefined,
  );
  const names = new Set(compared.map(shownName));
  return (inventory.needs?.forcedSecurity ?? []).filter((table) => names.has(shownName(table)));
}

/** Tables that the role cannot read to compare them, though it may do everything that their owner may. */
export function forcedSecurityLacks(role: RoleOnServer, tables: readonly TableName[]): Lack[] {
  if (role.superuser || role.bypassesRowSecurity || tables.length === 0) return [];
  return [
    {
      message: `role ${role.name} cannot compare what it restores of tables whose row-level security is forced on their owner: ${cutList(tables.map(shownName))}`,
      advice: `ALTER ROLE ${quoteIdentifier(role.name)} BYPASSRLS;`,
    },
  ];
}

/** Nearly always they belong to a superuser; but an extension's may belong to who creates it. */
function systemPrivilegeFindings(role: RoleOnServer, { systemPrivileges = [] }: Inventory): Finding[] {
  if (systemPrivileges.length === 0) return [];
  const named = systemPrivileges.map(({ kind, identity }) => `${kind} ${identity}`);
  return [
    warning(
      `privileges were changed on what the server or an extension brought, and a restore by role ${role.name} fails at its end unless that is his there: ${cutList(named)}`,
      'Restore as a superuser, or leave privileges out (--no-privileges).',
    ),
  ];
}

/** What is restored is compared with what was dumped by the role that restored it, with the rights of its owners. */
async function closedFindings(
  client: pg.Client,
  role: RoleOnServer,
  { needs }: Inventory,
  some: boolean,
): Promise<Finding[]> {
  const closed = needs?.closedToOwners ?? [];
  if (closed.length === 0) return [];
  const { rows } = await client.query<{ reads: boolean }>(`select pg_has_role('pg_read_all_data', 'usage') as reads`);
  if (rows[0]?.reads) return [];
  const finding = failure(
    `role ${role.name} could not look at what it restored: owners took that right from themselves on ${cutList(closed)}`,
    `GRANT pg_read_all_data TO ${quoteIdentifier(role.name)}; or leave privileges out (--no-privileges).`,
  );
  return [some ? { ...finding, severity: 'warning' } : finding];
}

const NOT_ALLOWED = '42501';

function here({ database }: pg.Client): string {
  return quoteIdentifier(database ?? 'postgres');
}
