import { buffer } from 'node:stream/consumers';
import { HoldfastError } from '../errors.ts';
import type { Backend } from '../storage/backend.ts';

/**
 * Writes a copy's manifest, which makes the copy exist. Doing it again with the same bytes is harmless; another manifest
 * under the same key is never replaced.
 */
export async function publishCopy(backend: Backend, key: string, manifest: Buffer, signal: AbortSignal): Promise<void> {
  if ((await backend.put(key, manifest, { ifAbsent: true, signal })) === 'stored') return;
  const present = await buffer(await backend.get(key, { signal }));
  if (present.equals(manifest)) return;
  throw new HoldfastError('RefusedForSafety', `Another manifest stands under ${key} on ${backend.name}.`, {
    advice: 'Nothing was overwritten. Look at the object: no two backups ever share an id.',
  });
}
