import { HoldfastError } from '../errors.ts';
import { backupPrefix, manifestKey, type BackupLocation } from '../repository/layout.ts';
import type { Backend } from '../storage/backend.ts';

export interface Discarded {
  readonly objects: number;
  readonly uploads: number;
}

/**
 * Takes back what an unpublished copy left on a backend: uploads under way, then objects. Refuses with
 * `RefusedForSafety` where a manifest stands, for then it is a backup.
 */
export async function discardCopy(backend: Backend, location: BackupLocation, signal: AbortSignal): Promise<Discarded> {
  const prefix = backupPrefix(location);
  if ((await backend.head(manifestKey(location), signal)) !== undefined) {
    throw new HoldfastError(
      'RefusedForSafety',
      `The copy under ${prefix} on ${backend.name} is published; it was not removed.`,
    );
  }
  let uploads = 0;
  for await (const upload of backend.listUploads(prefix, signal)) {
    await backend.abortUpload(upload, signal);
    uploads += 1;
  }
  let objects = 0;
  for await (const object of backend.list(prefix, signal)) {
    await backend.delete(object.key, signal);
    objects += 1;
  }
  return { objects, uploads };
}
