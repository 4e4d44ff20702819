import type pg from 'pg';
import { HoldfastError, messageOf } from '../../errors.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { createRolesSql } from './sourceRoles.ts';
import type { DatabaseDescription } from '../run.ts';
import { onServer } from './onServer.ts';

/**
 * Makes the roles that a backup's database needs and its server lacks, as they were at the source; all or none. Gives
 * their names. Throws RestoreFailed, SourceUnreachable, SourceRefused.
 */
export async function createRoles(
  server: DatabaseAccess,
  { inventory, globals }: Pick<DatabaseDescription, 'inventory' | 'globals'>,
  signal?: AbortSignal,
): Promise<string[]> {
  return onServer(server, signal, async (client) => {
    const { rows } = await client.query<{ name: string }>('select rolname as name from pg_roles');
    const present = rows.map(({ name }) => name);
    const missing = inventory.roles.map(({ name }) => name).filter((name) => !present.includes(name));
    const statements = createRolesSql(globals, missing, present, 'complete');
    if (statements.length === 0) return [];
    await client.query('begin');
    for (const statement of statements) {
      await client.query(statement).catch((cause: unknown) => {
        // The rest of the statement may hold a password's hash.
        const [what] = statement.split(/ (?:WITH|SET|IS) /);
        throw new HoldfastError('RestoreFailed', `${what}: ${messageOf(cause)}`, {
          advice: 'Create the roles by hand, or restore without owners.',
          cause,
        });
      });
    }
    await joinRoles(client, missing);
    await client.query('commit');
    return missing;
  });
}

/**
 * Who is no superuser can give what he restores only to roles that he is a member of. From 16 on he is one of those that he
 * makes, and needs the options SET and INHERIT beside.
 */
async function joinRoles(client: pg.Client, roles: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ superuser: boolean; options: string }>(
    `select rolsuper as superuser, case when current_setting('server_version_num')::int >= 160000 then ' WITH INHERIT TRUE, SET TRUE' else '' end as options
       from pg_roles where rolname = current_user`,
  );
  const [own] = rows;
  if (own?.superuser !== false) return;
  for (const role of roles) await client.query(`GRANT ${quoteIdentifier(role)} TO CURRENT_USER${own.options}`);
}
