import { connect, endSession, type DatabaseAccess } from '../postgres/access.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { Inventory } from '../postgres/inventorySchema.ts';
import type { RestoreScope } from './run.ts';

/**
 * Gives the schema public of a new database what a pg_dump before 15 takes for granted: it never says whose it is, and of
 * its privileges only what differs from those of servers before 15, where everybody may create in it. `list` is the
 * archive's table of contents. Throws SourceUnreachable, SourceRefused, and what the server answers.
 */
export async function preparePublicSchema(
  target: DatabaseAccess,
  {
    list,
    inventory,
    noOwner,
    noPrivileges,
  }: Pick<RestoreScope, 'noOwner' | 'noPrivileges'> & {
    readonly list: string;
    readonly inventory: Pick<Inventory, 'objects'>;
  },
  signal?: AbortSignal,
): Promise<void> {
  const schema = inventory.objects.find(({ kind, identity }) => kind === 'schema' && identity === 'public');
  if (schema === undefined || dumpedBy(list) >= 15) return;
  const client = await connect(target, signal);
  try {
    const { rows } = await client.query<{ owner: string }>(
      `select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'public'`,
    );
    if (noOwner !== true && schema.owner !== undefined && rows[0]?.owner !== schema.owner)
      await client.query(`ALTER SCHEMA public OWNER TO ${quoteIdentifier(schema.owner)}`);
    if (noPrivileges !== true) await client.query('GRANT ALL ON SCHEMA public TO PUBLIC');
  } finally {
    await endSession(client);
  }
}

function dumpedBy(list: string): number {
  return Number(/^;\s+Dumped by pg_dump version: (\d+)/m.exec(list)?.[1] ?? Number.NaN);
}
