import type pg from 'pg';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Finding } from '../../postgres/finding.ts';
import { failure } from './finding.ts';
import type { PreflightTargetOptions } from '../run.ts';
import type { RoleOnServer } from './roleOnServer.ts';

/**
 * Materialized views whose owner row-level security keeps from reading all: pg_restore has the server refuse to fill them,
 * whoever restores. Looked at with the roles of this server; one that is missing is told of elsewhere.
 */
export async function fillFindings(
  client: pg.Client,
  role: RoleOnServer,
  { description: { inventory }, noOwner = false, tables }: PreflightTargetOptions,
): Promise<Finding[]> {
  const fills = tables ? [] : (inventory.needs?.securedFills ?? []);
  if (fills.length === 0) return [];
  const asked = fills.map((fill) => (noOwner ? { ...fill, reader: role.name, owner: role.name } : fill));
  const { rows } = await client.query<{ view: string; reader: string; table: string }>(
    `select view, reader, "table" from jsonb_to_recordset($1::jsonb) as asked(view text, reader text, "table" text, owner text, forced boolean)
       join pg_roles r on r.rolname = reader join pg_roles o on o.rolname = owner
      where not r.rolsuper and not r.rolbypassrls and (forced or not pg_has_role(r.oid, o.oid, 'usage'))`,
    [JSON.stringify(asked)],
  );
  if (rows.length === 0) return [];
  const readers = [...new Set(rows.map(({ reader }) => quoteIdentifier(reader)))];
  const named = rows.map(({ view, reader, table }) => `${view} (reads ${table} as ${quoteIdentifier(reader)})`);
  return [
    failure(
      `materialized views cannot be filled under row-level security: ${cutList(named)}`,
      `For as long as the restore takes: ${readers.map((reader) => `ALTER ROLE ${reader} BYPASSRLS;`).join(' ')} They are filled with all rows then: refresh them afterwards as the application does.`,
    ),
  ];
}
