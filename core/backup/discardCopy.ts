import { HoldfastError } from '../errors.ts';
import type { Backend } from '../storage/backend.ts';

export interface Discarded {
  readonly objects: number;
  readonly uploads: number;
}

/**
 * Takes back what an unpublished copy left on a backend: uploads under way, then objects. Refuses with
 * `RefusedForSafety` where a manifest stands, for then it is a backup.
 */
export async function discardCopy(
  backend: Backend,
  folder: string,
  manifestKey: string,
  signal: AbortSignal,
): Promise<Discarded> {
  if ((await backend.head(manifestKey, signal)) !== undefined) {
    throw new HoldfastError(
      'RefusedForSafety',
      `The copy under ${folder} on ${backend.name} is published; it was not removed.`,
    );
  }
  let uploads = 0;
  for await (const upload of backend.listUploads(`${folder}/`, signal)) {
    await backend.abortUpload(upload, signal);
    uploads += 1;
  }
  let objects = 0;
  for await (const object of backend.list(`${folder}/`, signal)) {
    await backend.delete(object.key, signal);
    objects += 1;
  }
  return { objects, uploads };
}
