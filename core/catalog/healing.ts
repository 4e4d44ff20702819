import type { HealNote } from '../heal/run.ts';
import { inTransaction, type Catalog } from './catalog.ts';
import { applyVerification } from './write.ts';

/**
 * Notes what a heal found, did, or gave up. Of a backup that the catalog does not know nothing is noted, and its id is
 * answered. Repeating it changes nothing. Throws CatalogUnavailable.
 */
export async function noteHealing(catalog: Catalog, notes: readonly HealNote[]): Promise<string[]> {
  const unknown = new Set<string>();
  for (const note of notes) {
    if (!(await noteOne(catalog, note))) unknown.add(note.backup);
  }
  return [...unknown];
}

async function noteOne(catalog: Catalog, note: HealNote): Promise<boolean> {
  const { backup, backend, event, healing } = note;
  return inTransaction(catalog, async (client) => {
    const { rows } = await client.query<{ state: string | null }>(
      `SELECT copy.state FROM holdfast.backups AS backup
         LEFT JOIN holdfast.copies AS copy ON copy.backup_id = backup.id AND copy.backend = $2
        WHERE backup.id = $1`,
      [backup, backend],
    );
    const [known] = rows;
    if (known === undefined) return false;
    const look = { backupId: backup, backend, at: note.at };
    // A wound that is known is looked at again and again: one note of it is enough. A copy that never was stays `failed`.
    const wounded = note.condition === 'missing' ? ['missing', 'failed'] : ['damaged'];
    if (event === 'found' && note.condition !== 'unproven' && known.state && !wounded.includes(known.state)) {
      const outcome = note.condition;
      await applyVerification(client, { ...look, depth: 'listed', outcome, durationMs: 0, message: note.reason });
    }
    if (healing) {
      const { depth, duration, copyBytes, outcome } = healing;
      await applyVerification(client, { ...look, depth, outcome: 'passed', durationMs: duration });
      await client.query(
        `UPDATE holdfast.copies SET bytes = $3, uploaded_at = CASE WHEN $4 THEN $5 ELSE uploaded_at END
          WHERE backup_id = $1 AND backend = $2`,
        [backup, backend, copyBytes, outcome === 'healed', note.at],
      );
    }
    await client.query(
      `UPDATE holdfast.copies SET healing_since = CASE WHEN $3 THEN coalesce(healing_since, $4::timestamptz) END
        WHERE backup_id = $1 AND backend = $2`,
      [backup, backend, event === 'found' && note.condition !== 'unproven', note.at],
    );
    return true;
  });
}
