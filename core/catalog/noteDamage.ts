import { inTransaction, type Catalog } from './catalog.ts';
import { applyVerification } from './write.ts';

/**
 * Notes copies that were found damaged while something else was done, with what was wrong, by backend. Gives the backends
 * of which the catalog did not know it yet; a backup or copy that it does not know at all is left out. Throws
 * CatalogUnavailable.
 */
export async function noteDamage(
  catalog: Catalog,
  backupId: string,
  damaged: ReadonlyMap<string, string>,
  at: Date,
): Promise<string[]> {
  return inTransaction(catalog, async (client) => {
    const counted = await client.query<{ backend: string }>(
      "SELECT backend FROM holdfast.copies WHERE backup_id = $1 AND state = 'verified' FOR UPDATE",
      [backupId],
    );
    const found = counted.rows.map(({ backend }) => backend).filter((backend) => damaged.has(backend));
    for (const backend of found) {
      await applyVerification(client, {
        backupId,
        backend,
        depth: 'stored',
        outcome: 'damaged',
        at: at.toISOString(),
        durationMs: 0,
        message: damaged.get(backend) ?? '',
      });
    }
    return found;
  });
}
