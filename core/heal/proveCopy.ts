import type { Keys } from '../config/open.ts';
import { isHoldfastError } from '../errors.ts';
import { findRestoreProgram } from '../postgres/restoreProgram.ts';
import type { Manifest } from '../repository/manifest.ts';
import { openCopy, verifyStored, type CopyReport, type OpenOptions } from '../repository/verify.ts';
import type { Backend } from '../storage/backend.ts';

export interface ProveOptions {
  readonly keys: Keys;
  readonly signal: AbortSignal;
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Unset: on this thread. */
  readonly openPart?: OpenOptions['openPart'];
}

/**
 * Reads a whole copy back: opens it where a key and pg_restore are at hand, else hashes it, which proves that it is what
 * was opened when the backup was made. The report says which it was.
 */
export async function proveCopy(backend: Backend, manifest: Manifest, options: ProveOptions): Promise<CopyReport> {
  const { keys, ...reading } = options;
  const openingKeys = await keys.opening();
  const known = new Set(openingKeys.map(({ id }) => id));
  const opens = manifest.parts.every(({ keyIds }) => keyIds.some((id) => known.has(id)));
  if (!opens) return verifyStored(backend, manifest, reading);
  try {
    const pgRestore = manifest.database ? await findRestoreProgram(manifest.database.clientVersion) : undefined;
    return await openCopy(backend, manifest, { ...reading, openingKeys, pgRestore });
  } catch (error) {
    if (!isHoldfastError(error, 'ToolMissing') && !isHoldfastError(error, 'KeyMissing')) throw error;
    return verifyStored(backend, manifest, reading);
  }
}
