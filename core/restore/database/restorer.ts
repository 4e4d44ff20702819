import type { DatabaseAccess } from '../../postgres/access.ts';
import { inSession } from '../../postgres/inSession.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';

/** The role that restores, and is no superuser. */
export interface Restorer {
  readonly role: string;
  /** Those of the backup's roles that it may act as. */
  readonly mayBecome: ReadonlySet<string>;
}

/** Undefined for a superuser, who may do everything as what he is. Throws SourceUnreachable, SourceRefused. */
export async function readRestorer(
  target: DatabaseAccess,
  { roles, objects }: Pick<Inventory, 'roles' | 'objects'>,
  signal?: AbortSignal,
): Promise<Restorer | undefined> {
  const names = [...new Set([...roles.map(({ name }) => name), ...objects.flatMap(({ owner }) => owner ?? [])])];
  return inSession(target, 'looking at the role that restores', signal, async (client) => {
    // From 16 on a member may be kept from becoming what it is a member of.
    const { rows } = await client.query<{ role: string; superuser: boolean; may_become: string[] }>(
      `select rolname::text as role, rolsuper as superuser,
              array(select r.rolname::text from pg_roles r where r.rolname = any ($1)
                     and pg_has_role(r.oid, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)) as may_become
         from pg_roles where rolname = current_user`,
      [names],
    );
    const [found] = rows;
    if (found === undefined || found.superuser) return undefined;
    return { role: found.role, mayBecome: new Set(found.may_become) };
  });
}
