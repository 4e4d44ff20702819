import type { SourceConfiguration } from '../config/schema.ts';
import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import type { BackupKind } from '../config/words.ts';

/** Whether a backup of this kind holds the source's database. */
export function includesDatabase(kind: BackupKind): boolean {
  return kind === 'full' || kind === 'database';
}

/** The trees that a backup of this kind holds: all for `full`, none for `database`, else the one of the kind's name. */
export function treesOf(source: SourceConfiguration, kind: BackupKind): [string, FileTreeConfiguration][] {
  if (kind === 'database') return [];
  return Object.entries(source.files).filter(([tree]) => kind === 'full' || tree === kind);
}
