import type { Backends } from '../config/open.ts';
import { isHoldfastError, type HoldfastError } from '../errors.ts';
import { MANIFEST_NAME, parseBackupPrefix, type BackupLocation } from '../repository/layout.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readManifest, type ReadManifest } from '../repository/readManifest.ts';
import { mapInOrder } from '../seal/inOrder.ts';
import type { CheckingKey } from '../seal/keys.ts';

/** What lies on one backend of one source, by listing and by its manifests. */
export interface BackendView {
  readonly backend: string;
  readonly folders: ReadonlyMap<string, FolderView>;
}

/** A backup's folder. */
export interface FolderView {
  readonly location: BackupLocation;
  /** Bytes by the name of the object. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Undefined where there is none, or none that is right. */
  readonly read?: ReadManifest;
  /** Why the manifest that is there is not right. */
  readonly problem?: HoldfastError;
}

/** Small objects: waiting for each in turn would take a round trip a backup. */
const MANIFESTS_AT_ONCE = 8;

/** Lists everything of a source and reads every manifest. Rejects where the backend cannot be asked. */
export async function lookAtBackend(
  backends: Backends,
  name: string,
  source: string,
  checkingKeys: readonly CheckingKey[],
  signal: AbortSignal,
): Promise<BackendView> {
  const backend = await backends.get(name);
  const listed = new Map<string, { location: BackupLocation; sizes: Map<string, number> }>();
  for await (const { key, bytes } of backend.list(`${source}/`, signal)) {
    const slash = key.lastIndexOf('/') + 1;
    const location = parseBackupPrefix(key.slice(0, slash));
    if (location === undefined) continue;
    const folder = listed.get(location.backup) ?? { location, sizes: new Map<string, number>() };
    listed.set(location.backup, folder);
    folder.sizes.set(key.slice(slash), bytes);
  }
  const read = async ({ location, sizes }: { location: BackupLocation; sizes: Map<string, number> }) => {
    if (!sizes.has(MANIFEST_NAME)) return { location, sizes };
    try {
      return { location, sizes, read: await readManifest(backend, location, checkingKeys, signal) };
    } catch (error) {
      if (isHoldfastError(error, 'ObjectMissing')) return { location, sizes };
      if (isHoldfastError(error, 'ManifestInvalid') || isHoldfastError(error, 'KeyMissing')) {
        return { location, sizes, problem: error };
      }
      throw error;
    }
  };
  const folders = new Map<string, FolderView>();
  for await (const folder of mapInOrder(asAsync(listed.values()), MANIFESTS_AT_ONCE, read)) {
    folders.set(folder.location.backup, folder);
  }
  return { backend: name, folders };
}

/** The first thing that a listing shows to be wrong with a copy whose manifest is right, or undefined. */
export function flawInListing(backend: string, manifest: Manifest, { sizes }: FolderView): string | undefined {
  for (const { name, bytes } of manifest.parts.flatMap(({ objects }) => objects)) {
    const found = sizes.get(name);
    if (found === undefined) return `${backend}: ${name} is missing`;
    if (found !== bytes) return `${backend}: ${name} has ${found} of ${bytes} bytes`;
  }
  return undefined;
}

async function* asAsync<Item>(items: Iterable<Item>): AsyncGenerator<Item, void> {
  yield* items;
}
