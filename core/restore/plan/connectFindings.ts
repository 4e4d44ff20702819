import type pg from 'pg';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Finding } from '../../postgres/finding.ts';
import { splitGlobals } from '../database/globalsStatements.ts';
import type { PreflightTargetOptions } from '../run.ts';
import { failure } from './finding.ts';
import type { RoleOnServer } from './roleOnServer.ts';

const CONNECT = /^GRANT CONNECT ON DATABASE\s+TO (PUBLIC|"(?:[^"]|"")+")/;

/** A restored database is compared after it has its privileges back: who restored it has to get in with them. */
export async function connectFindings(
  client: pg.Client,
  role: RoleOnServer,
  { description: { globals }, noOwner = false, noPrivileges = false }: PreflightTargetOptions,
): Promise<Finding[]> {
  if (role.superuser || noOwner || noPrivileges) return [];
  const texts = splitGlobals(globals).flatMap(({ text, nameAt }) => (nameAt === undefined ? [] : [text]));
  const closed = texts.some((text) => /^REVOKE ALL ON DATABASE\s+FROM PUBLIC$/.test(text));
  const allowed = texts.flatMap((text) => CONNECT.exec(text)?.[1] ?? []);
  if (!closed || allowed.includes('PUBLIC')) return [];
  const names = allowed.map((name) => name.slice(1, -1).replaceAll('""', '"'));
  const { rowCount } = await client.query(
    `select from pg_roles where rolname = any ($1) and pg_has_role(oid, 'usage') limit 1`,
    [names],
  );
  if (rowCount !== 0) return [];
  const those = names.length === 0 ? 'nobody but superusers' : `only ${cutList(names.map(quoteIdentifier))}`;
  const granting =
    names[0] === undefined ? '' : `GRANT ${quoteIdentifier(names[0])} TO ${quoteIdentifier(role.name)}; or `;
  return [
    failure(
      `role ${role.name} could not look at what it restored: ${those} may connect to the database`,
      `${granting}restore as a superuser, or leave privileges out (--no-privileges).`,
    ),
  ];
}
