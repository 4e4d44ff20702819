import type { Compression } from '../config/schema.ts';
import { TIERS, type Tier } from '../config/words.ts';
import { isBackupId } from './backupId.ts';

/** Where everything stands in a repository. Keys are relative to the backend's prefix. */

export const MANIFEST_NAME = 'manifest.json';

/** Segments in one object; S3 allows 10,000 parts of a multipart upload. */
export const SEGMENTS_PER_OBJECT = 8192;

const NUMBER_DIGITS = 3;

export interface BackupLocation {
  readonly source: string;
  readonly tier: Tier;
  readonly backup: string;
}

/** `<source>/<tier>/<backup-id>/` */
export function backupPrefix({ source, tier, backup }: BackupLocation): string {
  return `${source}/${tier}/${backup}/`;
}

export function manifestKey(location: BackupLocation): string {
  return `${backupPrefix(location)}${MANIFEST_NAME}`;
}

/** The key of an object that a manifest names. */
export function objectKey(location: BackupLocation, name: string): string {
  return `${backupPrefix(location)}${name}`;
}

/**
 * The name of a part's object, e.g. `database.dump.zst.enc`. `extension` is that of the part's format, without a dot.
 * The first object, `index` 0, has no number; those after it are `.001` and so on, in the order of their bytes.
 */
export function objectName(part: string, extension: string, compression: Compression['type'], index = 0): string {
  const compressed = compression === 'zstd' ? 'zst' : 'gz';
  const number = index === 0 ? '' : `.${String(index).padStart(NUMBER_DIGITS, '0')}`;
  return `${part}.${extension}.${compressed}.enc${number}`;
}

/** Reads `<source>/<tier>/<backup-id>/` back; undefined for anything else. */
export function parseBackupPrefix(prefix: string): BackupLocation | undefined {
  const [source, tierName, backup, rest, ...more] = prefix.split('/');
  const tier = TIERS.find((known) => known === tierName);
  if (!source || tier === undefined || !backup || rest !== '' || more.length > 0 || !isBackupId(backup)) {
    return undefined;
  }
  return { source, tier, backup };
}
