import type { Manifest } from '../../repository/manifest.ts';
import type { BackupWish } from '../run.ts';
import { treesOf } from '../trees/treeParts.ts';

/** What of the wanted a backup does not hold, in words; undefined where it holds it all. */
export function lackOf(
  manifest: Manifest,
  { parts = [], anyTree = false }: Pick<BackupWish, 'parts' | 'anyTree'>,
): string | undefined {
  const lacking = parts.find((part) => manifest.parts.every((each) => each.part !== part));
  return lacking ?? (anyTree && treesOf(manifest).length === 0 ? 'file trees' : undefined);
}
