import { buffer } from 'node:stream/consumers';
import { HoldfastError } from '../errors.ts';
import { backupPrefix, manifestKey, objectKey, type BackupLocation } from '../repository/layout.ts';
import type { Backend } from '../storage/backend.ts';
import type { PublishedManifest } from './backupRecord.ts';

/**
 * Writes a copy's manifest, which makes the copy exist, after a last look that every object it names stands there in its
 * full size. Doing it again with the same bytes is harmless; another manifest under the same key is never replaced.
 */
export async function publishCopy(
  backend: Backend,
  location: BackupLocation,
  { manifest, bytes }: PublishedManifest,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    manifest.parts.flatMap(({ objects }) =>
      objects.map(async (object) => expectInPlace(backend, objectKey(location, object.name), object.bytes, signal)),
    ),
  );
  await takeBackUploads(backend, location, signal);
  const key = manifestKey(location);
  if ((await backend.put(key, bytes, { ifAbsent: true, signal })) === 'stored') return;
  const present = await buffer(await backend.get(key, { signal }));
  if (present.equals(bytes)) return;
  throw new HoldfastError('RefusedForSafety', `Another manifest stands under ${key} on ${backend.name}.`, {
    advice: 'Nothing was overwritten. Look at the object: no two backups ever share an id.',
  });
}

/** Every object is in place: what is still under way here was left by a killed worker, and nobody would come for it. */
async function takeBackUploads(backend: Backend, location: BackupLocation, signal: AbortSignal): Promise<void> {
  for await (const upload of backend.listUploads(backupPrefix(location), signal)) {
    await backend.abortUpload(upload, signal);
  }
}

/** Hours may lie between the read-back and this, and a configuration that meanwhile points somewhere else. */
async function expectInPlace(backend: Backend, key: string, bytes: number, signal: AbortSignal): Promise<void> {
  const found = await backend.head(key, signal);
  if (found?.bytes === bytes) return;
  throw new HoldfastError(
    found ? 'ObjectDamaged' : 'ObjectMissing',
    found
      ? `${backend.name}: ${key} has ${found.bytes} bytes instead of ${bytes}`
      : `${backend.name}: ${key} is not there`,
    {
      advice:
        'It was there a moment ago. Look for who deletes in this storage, and whether the backend was reconfigured.',
      retryable: false,
    },
  );
}
