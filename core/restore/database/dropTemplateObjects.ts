import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';

/**
 * Drops what every new database has and the source had dropped: the schema `public`, the language `plpgsql`. No dump
 * says that they were not there. Throws SourceUnreachable, SourceRefused.
 */
export async function dropTemplateObjects(
  target: DatabaseAccess,
  { objects, extensions }: Pick<Inventory, 'objects' | 'extensions'>,
  signal?: AbortSignal,
): Promise<void> {
  const hasPublic = objects.some(({ kind, identity }) => kind === 'schema' && identity === 'public');
  const hasLanguage = extensions.some(({ name }) => name === 'plpgsql');
  if (hasPublic && hasLanguage) return;
  const client = await connect(target, signal);
  try {
    if (!hasPublic) await client.query('DROP SCHEMA IF EXISTS public');
    if (hasLanguage) return;
    const { rowCount } = await client.query(
      `select from pg_extension where extname = 'plpgsql' and pg_has_role(extowner, 'usage')`,
    );
    // It belongs to the superuser who made the server. Whoever may not drop it keeps it, and the reconciliation says so.
    if (rowCount === 1) await client.query('DROP EXTENSION plpgsql');
  } finally {
    await endSession(client);
  }
}
