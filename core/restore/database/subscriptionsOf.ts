import type { DatabaseAccess } from '../../postgres/access.ts';
import { onServer } from './onServer.ts';

/** Names of a database's subscriptions, by PostgreSQL's number of it: with one it cannot be dropped as it is. */
export async function subscriptionsOf(server: DatabaseAccess, oid: string, signal?: AbortSignal): Promise<string[]> {
  return onServer(server, signal, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      'select subname::text as name from pg_subscription where subdbid = $1::oid order by 1',
      [oid],
    );
    return rows.map(({ name }) => name);
  });
}
