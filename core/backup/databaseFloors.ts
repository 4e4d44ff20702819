import type { Floors } from '../config/schema.ts';
import { checkFloors } from '../postgres/floors.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import { acceptFindings } from './acceptFindings.ts';
import type { BackupAssignment, SealedBackup } from './run.ts';

/** Uncompressed bytes of everything that holds the database's rows. Undefined for a backup without a database. */
export function dumpBytesOf(parts: readonly Pick<ManifestPart, 'part' | 'originalBytes'>[]): number | undefined {
  const rows = parts.filter(({ part }) => part === 'database' || /^rows-\d+$/.test(part));
  return rows.length === 0 ? undefined : rows.reduce((sum, { originalBytes }) => sum + originalBytes, 0);
}

/**
 * Throws `FloorViolated` for a dump that is too small to be believed, by the plan's floors and the last verified backup.
 * Gives the warnings that remain, e.g. that the server is another than last time.
 */
export function plausibilityWarnings(
  { database, parts }: Pick<SealedBackup, 'database' | 'parts'>,
  floors: Floors,
  { previous, acceptShrink }: Pick<BackupAssignment, 'previous' | 'acceptShrink'>,
): string[] {
  const dumpBytes = dumpBytesOf(parts);
  if (database === undefined || dumpBytes === undefined) return [];
  const { name, systemIdentifier } = database;
  const accepted = acceptShrink ? { ...floors, maximumShrink: 100 } : floors;
  // That it is not empty was seen before the dump; what was dumped since has tables.
  const now = { name, systemIdentifier, tables: 1, dumpBytes };
  return acceptFindings(checkFloors(now, accepted, previous?.database));
}
