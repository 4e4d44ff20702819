import type { Floors } from '../config/schema.ts';
import { HoldfastError } from '../errors.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import type { BackupAssignment } from './run.ts';

/** Uncompressed bytes of everything that holds the database's rows. Undefined for a backup without a database. */
export function databaseBytesOf(parts: readonly Pick<ManifestPart, 'part' | 'originalBytes'>[]): number | undefined {
  const rows = parts.filter(({ part }) => part === 'database' || /^rows-\d+$/.test(part));
  return rows.length === 0 ? undefined : rows.reduce((sum, { originalBytes }) => sum + originalBytes, 0);
}

/**
 * Throws `FloorViolated` for a database that is too small to be believed: below the plan's minimum, or shrunk since the
 * last verified backup by more than the plan allows.
 */
export function checkDatabaseFloors(
  parts: readonly Pick<ManifestPart, 'part' | 'originalBytes'>[],
  floors: Floors,
  { source, previous, acceptShrink }: Pick<BackupAssignment, 'source' | 'previous' | 'acceptShrink'>,
): void {
  const bytes = databaseBytesOf(parts);
  if (bytes === undefined) return;
  if (bytes < floors.minimumBytes) {
    throw new HoldfastError(
      'FloorViolated',
      `The dump of ${source} has ${bytes} bytes; the plan expects at least ${floors.minimumBytes}.`,
      {
        advice: 'Check that the source names the right database, or lower floors.minimumBytes.',
      },
    );
  }
  if (previous?.databaseBytes === undefined || acceptShrink) return;
  const shrunk = 100 * (1 - bytes / previous.databaseBytes);
  if (shrunk > floors.maximumShrink) {
    throw new HoldfastError(
      'FloorViolated',
      `The dump of ${source} has ${bytes} bytes, ${Math.round(shrunk)} % less than the last verified backup ${previous.id}` +
        ` with ${previous.databaseBytes}; the plan allows ${floors.maximumShrink} %.`,
      {
        advice:
          'Check that the source names the right database. If it shrank on purpose, run the backup with --accept-shrink.',
      },
    );
  }
}
