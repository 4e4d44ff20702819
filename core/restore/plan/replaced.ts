import { queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { cutList, quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import type { Finding } from '../../postgres/finding.ts';
import { onServer } from '../database/onServer.ts';

/** The database that a restore is to replace, as it is. */
export interface DatabaseInPlace {
  readonly oid: string;
  /** Names of its subscriptions. */
  readonly subscriptions: readonly string[];
  readonly bytes: number;
  readonly sessions: number;
  readonly template: boolean;
  readonly prepared: number;
  readonly owner: string;
  /** Whether the role that restores may rename it. */
  readonly mayRename: boolean;
  readonly mayEndSessions: boolean;
  /** Sessions of superusers, in words, where the role is none: it cannot end them. */
  readonly superuserSessions: readonly string[];
  readonly role: string;
}

/** Undefined where there is no such database. Throws SourceUnreachable, SourceRefused. */
export async function lookAtReplaced(
  server: DatabaseAccess,
  name: string,
  signal?: AbortSignal,
): Promise<DatabaseInPlace | undefined> {
  return onServer(server, signal, async (client) => {
    const { rows } = await client
      .query<DatabaseInPlace>(
        `select d.oid::text, array(select subname::text from pg_subscription where subdbid = d.oid order by 1) as subscriptions,
                case when has_database_privilege(d.oid, 'connect') then pg_database_size(d.oid) else 0 end::float8 as bytes,
                (select count(*)::int from pg_stat_activity where datid = d.oid) as sessions,
                (select count(*)::int from pg_prepared_xacts where database = d.datname) as prepared,
                datistemplate as template, pg_get_userbyid(datdba) as owner, current_user as role,
                rolsuper or (rolcreatedb and pg_has_role(datdba, 'usage')) as "mayRename",
                rolsuper or pg_has_role('pg_signal_backend', 'usage') or pg_has_role(datdba, 'usage') as "mayEndSessions",
                case when rolsuper then '{}' else
                  array(select format('%s of %s (%s)', pid, s.rolname, application_name)
                          from pg_stat_activity a join pg_roles s on s.oid = a.usesysid
                         where a.datid = d.oid and s.rolsuper order by pid) end as "superuserSessions"
           from pg_database d, pg_roles where datname = $1 and rolname = current_user`,
        [name],
      )
      .catch((cause: unknown) => {
        throw queryError(server, `looking at database ${name}`, cause);
      });
    return rows[0];
  });
}

/** What could keep it from being swapped, and what it means to those who use it. */
export function replacedFindings(
  name: string,
  inPlace: DatabaseInPlace | undefined,
  maintenanceDatabase: string,
): Finding[] {
  if (inPlace === undefined)
    return [
      warning(
        `database ${name} does not exist`,
        'There is nothing to back up, to swap or to keep: it is made anew under its name.',
      ),
    ];
  const { sessions, prepared, owner, mayRename, mayEndSessions, superuserSessions, role } = inPlace;
  const findings: Finding[] = [];
  if (name === maintenanceDatabase)
    findings.push(
      failure(
        `database ${name} is the one that the restore itself has to be connected to meanwhile`,
        "Name another one that is always there under the source's restore.maintenanceDatabase, e.g. template1.",
      ),
    );
  if (!mayRename)
    findings.push(
      failure(
        `role ${role} may not rename database ${name}, which belongs to ${owner}`,
        `Name a superuser under restore.user, or: GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(role)}; ALTER ROLE ${quoteIdentifier(role)} CREATEDB;`,
      ),
    );
  if (!mayEndSessions)
    findings.push(
      warning(
        `role ${role} may not end sessions of other roles`,
        `GRANT pg_signal_backend TO ${quoteIdentifier(role)}; or stop the application before the swap.`,
      ),
    );
  if (superuserSessions.length > 0)
    findings.push(
      failure(
        `role ${role} cannot end the sessions that superusers have in database ${name}: ${cutList(superuserSessions)}`,
        `Let them end, or, as a superuser: SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${quoteLiteral(name)}; and start the restore again.`,
      ),
    );
  if (prepared > 0)
    findings.push(
      failure(
        `${prepared} prepared transactions hold database ${name}`,
        'Commit or roll them back: see pg_prepared_xacts.',
      ),
    );
  if (sessions > 0)
    findings.push(
      warning(`${sessions} sessions are in database ${name} now`, 'They are ended at the swap, and not before.'),
    );
  return findings;
}

function failure(message: string, advice: string): Finding {
  return { severity: 'failure', type: 'RefusedForSafety', message, advice };
}

function warning(message: string, advice: string): Finding {
  return { severity: 'warning', type: 'RefusedForSafety', message, advice };
}
