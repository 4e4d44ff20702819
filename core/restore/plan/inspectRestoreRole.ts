import type pg from 'pg';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { inSession } from '../../postgres/inSession.ts';
import { readForcedSecurity } from '../../postgres/restorerNeeds.ts';
import { readServer } from '../../postgres/server.ts';
import type { Finding } from '../../postgres/finding.ts';
import { warning } from './finding.ts';
import { inheritingSql, notInherited, ownerLacks } from './ownerFindings.ts';
import type { Owner } from './ownersIn.ts';
import type { TableName } from '../reconcile/compareInventories.ts';
import { forcedSecurityLacks } from './rightsFindings.ts';
import { readRole } from './roleOnServer.ts';

/** What of a database its restores depend on. */
export interface DatabaseToRestore {
  /** Unset where everything is to belong to the role. */
  readonly owners?: readonly Owner[] | undefined;
  readonly forcedSecurity: readonly TableName[];
}

export interface RestoreRole {
  readonly role: string;
  /** E.g. `17.6`. */
  readonly serverVersion: string;
  /** What a restore of everything would lack, with the grant that mends it. */
  readonly findings: readonly Finding[];
}

/**
 * Looks whether a role may restore on a server what belongs to a database's owners, without a backup to restore. `server`: a
 * maintenance connection. `database`: from `readDatabaseToRestore`. Rejects with `SourceUnreachable` or `SourceRefused`.
 */
export async function inspectRestoreRole(
  server: DatabaseAccess,
  { owners, forcedSecurity }: DatabaseToRestore,
  signal?: AbortSignal,
): Promise<RestoreRole> {
  return inSession(server, 'looking at the role that restores', signal, async (client) => {
    const { version, major, recovering } = await readServer(client);
    const restorer = await readRole(client);
    const { name, superuser, createDatabase } = restorer;
    const role = quoteIdentifier(name);
    const findings: Finding[] = [];
    if (recovering)
      findings.push(warning('the server is a standby', 'Nothing can be restored on it; name its primary.'));
    if (!superuser && !createDatabase)
      findings.push(warning(`role ${name} may not create databases`, `ALTER ROLE ${role} CREATEDB;`));
    for (const { message, advice } of await ownerLacks(client, restorer, major, { owners: owners ?? [] }))
      findings.push(warning(message, `${advice} or restore as a superuser, or with --no-owner.`));
    for (const { message, advice } of forcedSecurityLacks(restorer, forcedSecurity))
      findings.push(warning(message, advice));
    if (owners !== undefined && (await notInherited(client, [ENDS_SESSIONS])).length > 0)
      findings.push(
        warning(
          `role ${name} may not end the sessions of a database that is replaced`,
          inheritingSql(restorer, major, [ENDS_SESSIONS]),
        ),
      );
    return { role: name, serverVersion: version, findings };
  });
}

const ENDS_SESSIONS = 'pg_signal_backend';

/** Looks at a database as a dump would take it. Rejects as `inspectRestoreRole` does. */
export async function readDatabaseToRestore(
  database: DatabaseAccess,
  signal?: AbortSignal,
): Promise<Required<DatabaseToRestore>> {
  return inSession(database, 'reading who owns what', signal, async (client) => ({
    owners: await readOwners(client),
    forcedSecurity: await readForcedSecurity(client),
  }));
}

/** Who owns what a dump of this database gives back to its owner. */
async function readOwners(client: pg.Client): Promise<Owner[]> {
  const { rows } = await client.query<Owner>(`
      with this as (select oid, datdba from pg_database where datname = current_database()),
      owned(owner, classid, objid) as (
        select datdba, 'pg_database'::regclass::oid, oid from this
        union select s.refobjid, s.classid, s.objid from pg_shdepend s, this
         where s.dbid = this.oid and s.deptype = 'o' and s.classid <> 'pg_extension'::regclass
           and not exists (select from pg_depend d where d.classid = s.classid and d.objid = s.objid and d.deptype = 'e')
        union select c.relowner, 'pg_class'::regclass, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')),
      first(owner, classid, objid) as (select distinct on (owner) owner, classid, objid from owned order by owner, classid, objid)
      select rolname::text as name, concat_ws(' ', i.type, i.identity) as example
        from pg_roles join first on first.owner = pg_roles.oid, pg_identify_object(classid, objid, 0) i
       where rolname <> 'pg_database_owner' order by 1`);
  return rows;
}
