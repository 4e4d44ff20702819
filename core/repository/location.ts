import type { BackupLocation } from './layout.ts';
import type { Manifest } from './manifest.ts';

/** Where a backup lies by its own manifest. */
export function locationOf({ source, tier, id }: Pick<Manifest, 'source' | 'tier' | 'id'>): BackupLocation {
  return { source, tier, backup: id };
}
