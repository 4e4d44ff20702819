import type { DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { inSession } from '../../postgres/inSession.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import type { RestoreScope } from '../run.ts';

/**
 * Gives the schema public of a new database what the pg_dump that wrote the archive takes for granted, where the server is of
 * the other kind. One before 15 never says whose it is, and of its privileges only what differs from those of servers before
 * 15, where everybody may create in it; later ones say what differs from those of later servers. `contents` is what
 * pg_restore lists of the archive. Throws SourceUnreachable and SourceRefused.
 */
export async function preparePublicSchema(
  target: DatabaseAccess,
  {
    contents,
    inventory,
    serverMajor,
    noOwner,
    noPrivileges,
  }: Pick<RestoreScope, 'noOwner' | 'noPrivileges'> & {
    readonly contents: string;
    readonly serverMajor: number;
    readonly inventory: Pick<Inventory, 'objects'>;
  },
  signal?: AbortSignal,
): Promise<void> {
  const schema = inventory.objects.find(({ kind, identity }) => kind === 'schema' && identity === 'public');
  const old = dumpedBy(contents) < 15;
  if (schema === undefined || (!old && serverMajor >= 15)) return;
  await inSession(target, 'preparing its schema public', signal, async (client) => {
    if (!old) {
      if (noPrivileges !== true) await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
      return;
    }
    const { rows } = await client.query<{ owner: string }>(
      `select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'public'`,
    );
    if (noOwner !== true && schema.owner !== undefined && rows[0]?.owner !== schema.owner)
      await client.query(`ALTER SCHEMA public OWNER TO ${quoteIdentifier(schema.owner)}`);
    if (noPrivileges !== true) await client.query('GRANT ALL ON SCHEMA public TO PUBLIC');
  });
}

function dumpedBy(contents: string): number {
  return Number(/^;\s+Dumped by pg_dump version: (\d+)/m.exec(contents)?.[1] ?? Number.NaN);
}
