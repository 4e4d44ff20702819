import type pg from 'pg';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import { inSession } from '../../postgres/inSession.ts';
import { readServer } from '../../postgres/server.ts';
import type { Finding } from '../../postgres/finding.ts';
import { warning } from './finding.ts';
import { readRole } from './targetFindings.ts';

export interface RestoreRole {
  readonly role: string;
  /** E.g. `17.6`. */
  readonly serverVersion: string;
  /** What a restore of everything would lack, with the grant that mends it. */
  readonly findings: readonly Finding[];
}

/**
 * Looks whether a role may restore on a server what belongs to these owners, without a backup to restore. `server`: a
 * maintenance connection. `owners`: from `readOwners`; unset where everything is to belong to the role. Rejects with
 * `SourceUnreachable` or `SourceRefused`.
 */
export async function inspectRestoreRole(
  server: DatabaseAccess,
  owners: readonly string[] | undefined,
  signal?: AbortSignal,
): Promise<RestoreRole> {
  return inSession(server, 'looking at the role that restores', signal, async (client) => {
    const { version, recovering } = await readServer(client);
    const { name, superuser, createDatabase } = await readRole(client);
    const role = quoteIdentifier(name);
    const findings: Finding[] = [];
    if (recovering)
      findings.push(warning('the server is a standby', 'Nothing can be restored on it; name its primary.'));
    if (!superuser && !createDatabase)
      findings.push(warning(`role ${name} may not create databases`, `ALTER ROLE ${role} CREATEDB;`));
    const foreign = await notMemberOf(client, owners ?? []);
    if (foreign.length > 0) {
      const names = foreign.map(quoteIdentifier);
      findings.push(
        warning(
          `role ${name} cannot give what it restores to ${cutList(names)}`,
          `GRANT ${names.join(', ')} TO ${role}; or restore as a superuser, or with --no-owner.`,
        ),
      );
    }
    if (owners !== undefined && (await notMemberOf(client, ['pg_signal_backend'])).length > 0)
      findings.push(
        warning(
          `role ${name} may not end the sessions of a database that is replaced`,
          `GRANT pg_signal_backend TO ${role};`,
        ),
      );
    return { role: name, serverVersion: version, findings };
  });
}

/** Who owns what a dump of this database gives back to its owner. Rejects as `inspectRestoreRole` does. */
export async function readOwners(database: DatabaseAccess, signal?: AbortSignal): Promise<string[]> {
  return inSession(database, 'reading who owns what', signal, async (client) => {
    // pg_shdepend leaves out who is pinned, the first superuser; what an extension brings belongs to who creates that.
    const { rows } = await client.query<{ name: string }>(`
      with this as (select oid, datdba from pg_database where datname = current_database()),
      owned(owner) as (
        select datdba from this
        union select s.refobjid from pg_shdepend s, this
         where s.dbid = this.oid and s.deptype = 'o' and s.classid <> 'pg_extension'::regclass
           and not exists (select from pg_depend d where d.classid = s.classid and d.objid = s.objid and d.deptype = 'e')
        union select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
      select rolname::text as name from pg_roles join owned on owned.owner = oid
       where rolname <> 'pg_database_owner' order by 1`);
    return rows.map(({ name }) => name);
  });
}

async function notMemberOf(client: pg.Client, roles: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select rolname::text as name from pg_roles where rolname = any ($1) and not pg_has_role(oid, 'member') order by 1`,
    [roles],
  );
  return rows.map(({ name }) => name);
}
