import { createHash } from 'node:crypto';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { Backend } from '../storage/backend.ts';
import { objectKey } from './layout.ts';
import { locationOf } from './location.ts';
import type { Manifest, ManifestObject, ManifestPart } from './manifest.ts';

/** One stored object, held against what the manifest says of it. */
export interface ObjectFinding {
  readonly key: string;
  /** Bytes found; 0 for a missing object. */
  readonly bytes: number;
  /** ObjectMissing or ObjectDamaged, naming backend and object; undefined when every byte is the one that was written. */
  readonly problem?: HoldfastError | undefined;
}

export interface ReadObjectsOptions {
  /** Called with the bytes of every chunk as it is read. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An object and the key it lies under on the backend. */
export interface KeyedObject extends ManifestObject {
  readonly key: string;
}

/**
 * The bytes of several objects in order, counted and hashed while they pass; `onFinding` hears of each object at its
 * end. A missing or damaged object does not stop the reading: what follows it is still worth a verdict. An object that
 * is longer than it should be is left at once. Throws the backend's other errors as they are.
 */
export async function* readObjects(
  backend: Backend,
  objects: readonly KeyedObject[],
  onFinding: (finding: ObjectFinding) => void,
  options: ReadObjectsOptions = {},
): AsyncGenerator<Buffer, void> {
  for (const object of objects) {
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      // Objects of a part are one stream: they are read one after the other.
      for await (const chunk of await backend.get(object.key, { ...(options.signal && { signal: options.signal }) })) {
        const buffer = chunk as Buffer;
        bytes += buffer.length;
        options.onBytes?.(buffer.length);
        if (bytes > object.bytes) break;
        hash.update(buffer);
        yield buffer;
      }
      onFinding({ key: object.key, bytes, problem: compare(backend, object, bytes, hash.digest('hex')) });
    } catch (error) {
      if (!isHoldfastError(error, 'ObjectMissing')) throw error;
      onFinding({ key: object.key, bytes: 0, problem: missing(backend, object, error) });
    }
  }
}

/** The objects of a part with the keys they lie under. */
export function keyedObjects(manifest: Manifest, part: ManifestPart): KeyedObject[] {
  return part.objects.map((object) => ({ ...object, key: objectKey(locationOf(manifest), object.name) }));
}

function compare(backend: Backend, object: KeyedObject, bytes: number, sha256: string): HoldfastError | undefined {
  if (bytes === object.bytes && sha256 === object.sha256) return undefined;
  return new HoldfastError('ObjectDamaged', `${backend.name}: ${object.key} ${differenceOf(object, bytes)}`, {
    advice: ADVICE,
  });
}

function differenceOf(object: ManifestObject, bytes: number): string {
  if (bytes === 0) return `is empty; ${object.bytes} bytes were written`;
  if (bytes < object.bytes) return `is cut: it has ${bytes} of ${object.bytes} bytes`;
  if (bytes > object.bytes) return `is longer than the ${object.bytes} bytes that were written`;
  return 'holds other bytes than were written: its SHA-256 is not the one in the manifest';
}

function missing(backend: Backend, object: KeyedObject, cause: HoldfastError): HoldfastError {
  return new HoldfastError('ObjectMissing', `${backend.name}: ${object.key} is missing`, { advice: ADVICE, cause });
}

const ADVICE = 'Use a copy on another backend; this one is to be replaced from it.';
