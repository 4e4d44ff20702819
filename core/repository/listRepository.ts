import { isHoldfastError, type HoldfastError } from '../errors.ts';
import type { CheckingKey } from '../seal/keys.ts';
import { mapInOrder } from '../seal/inOrder.ts';
import type { Backend } from '../storage/backend.ts';
import { collect } from './asyncItems.ts';
import { manifestKey, parseBackupPrefix, type BackupLocation } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { noSuchBackup } from './noSuchBackup.ts';
import { readManifest, type ReadManifest } from './readManifest.ts';

export interface RepositoryFilter {
  readonly source?: string | undefined;
  readonly tier?: string | undefined;
}

/** A backup found on a backend by its manifest, or a manifest that cannot be trusted. */
export type FoundBackup =
  | ({ readonly key: string; readonly problem?: undefined } & ReadManifest)
  | { readonly key: string; readonly location: BackupLocation; readonly problem: HoldfastError };

/**
 * Every backup on a backend, folder by folder, in no order of time. A folder without a manifest holds no backup and is
 * left out; a manifest that is damaged, wrongly signed or in another backup's place is handed out with its problem.
 * Without checking keys no signature is checked. Throws BackendUnreachable, BackendRefused.
 */
export async function* listRepository(
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: RepositoryFilter = {},
  signal?: AbortSignal,
): AsyncGenerator<FoundBackup, void> {
  for await (const found of lookIntoFolders(backend, checkingKeys, filter, signal))
    if (found.key !== undefined) yield found;
}

/** What a whole repository holds, sorted by the time in the manifests, newest first. */
export interface Repository {
  readonly backups: readonly (ReadManifest & { readonly key: string })[];
  readonly problems: readonly {
    readonly key: string;
    readonly location: BackupLocation;
    readonly problem: HoldfastError;
  }[];
  /** Folders of backups without a manifest: of a run under way, of one that failed, or of a backup that lost it. */
  readonly unpublished: readonly BackupLocation[];
}

/** `listRepository` at once, and the folders that it leaves out. */
export async function readRepository(
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: RepositoryFilter = {},
  signal?: AbortSignal,
): Promise<Repository> {
  const folders = await collect(lookIntoFolders(backend, checkingKeys, filter, signal));
  const all = folders.filter((found) => found.key !== undefined);
  return {
    backups: all
      .filter((found) => found.problem === undefined)
      .toSorted((a, b) => b.manifest.startedAt.localeCompare(a.manifest.startedAt)),
    problems: all.filter((found) => found.problem !== undefined),
    unpublished: folders.filter((found) => found.key === undefined).map(({ location }) => location),
  };
}

/**
 * The newest backup of a source (and kind) on a backend, by the time in its manifest. A manifest that cannot be trusted
 * may have been the newest, so it is an answer too: `problems`.
 */
export async function newestBackup(
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  wanted: { readonly source: string; readonly kind?: Manifest['kind'] },
  signal?: AbortSignal,
): Promise<{ readonly newest: ReadManifest | undefined; readonly problems: Repository['problems'] }> {
  const { backups, problems } = await readRepository(backend, checkingKeys, { source: wanted.source }, signal);
  const newest = backups.find(({ manifest }) => wanted.kind === undefined || manifest.kind === wanted.kind);
  return { newest, problems };
}

/**
 * The folder on a backend whose name is this id, or the only one that begins so. Whether a backup lies in it is for
 * `readManifest` to say. Throws InvalidInput naming the nearest ids, BackendUnreachable, BackendRefused.
 */
export async function findPlace(backend: Backend, idOrPrefix: string, signal?: AbortSignal): Promise<BackupLocation> {
  return onlyPlace(await Array.fromAsync(backupFolders(backend, {}, signal)), idOrPrefix);
}

/** Where a backup lies on several backends. */
export interface FoundPlaces {
  readonly location: BackupLocation;
  /** Names of the backends that have a folder for it. */
  readonly holding: readonly string[];
  /** Those that could not be asked, each with the reason. */
  readonly silent: readonly { readonly name: string; readonly error: unknown }[];
}

/**
 * The same over several backends: an id or prefix means one backup only if it does so on all of them together. Throws
 * InvalidInput naming the nearest ids, of `source` where it has any; the first backend's error when none could be asked.
 */
export async function findPlaces(
  backends: readonly { readonly name: string; readonly open: () => Promise<Backend> }[],
  idOrPrefix: string,
  signal?: AbortSignal,
  source?: string,
): Promise<FoundPlaces> {
  const places = new Map<string, BackupLocation[]>();
  const silent: { name: string; error: unknown }[] = [];
  for (const { name, open } of backends) {
    try {
      places.set(name, await Array.fromAsync(backupFolders(await open(), {}, signal)));
    } catch (error) {
      signal?.throwIfAborted();
      silent.push({ name, error });
    }
  }
  if (places.size === 0 && silent[0]) throw silent[0].error;
  const location = onlyPlace([...places.values()].flat(), idOrPrefix, source);
  const holding = [...places].filter(([, list]) => list.some(({ backup }) => backup === location.backup));
  return { location, holding: holding.map(([name]) => name), silent };
}

function onlyPlace(places: readonly BackupLocation[], idOrPrefix: string, source?: string): BackupLocation {
  const exact = places.find(({ backup }) => backup === idOrPrefix);
  if (exact) return exact;
  const begins = places.filter(({ backup }) => idOrPrefix !== '' && backup.startsWith(idOrPrefix));
  const [first] = begins;
  if (first && begins.every(({ backup }) => backup === first.backup)) return first;
  const own = places.filter((place) => begins.length === 0 && place.source === source);
  throw noSuchBackup(idOrPrefix, [...new Set((own.length > 0 ? own : places).map(({ backup }) => backup))]);
}

/** Small objects: waiting for each in turn would take a round trip a backup. */
const MANIFESTS_AT_ONCE = 8;

interface UnpublishedFolder {
  readonly key?: undefined;
  readonly location: BackupLocation;
}

function lookIntoFolders(
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: RepositoryFilter,
  signal: AbortSignal | undefined,
): AsyncIterable<FoundBackup | UnpublishedFolder> {
  const folders = backupFolders(backend, filter, signal);
  return mapInOrder(folders, MANIFESTS_AT_ONCE, (folder) => findIn(backend, folder, checkingKeys, signal));
}

async function* backupFolders(
  backend: Backend,
  filter: RepositoryFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<BackupLocation, void> {
  for await (const source of backend.listDirectories('', signal)) {
    if (filter.source !== undefined && filter.source !== source) continue;
    for await (const tier of backend.listDirectories(`${source}/`, signal)) {
      if (filter.tier !== undefined && filter.tier !== tier) continue;
      for await (const id of backend.listDirectories(`${source}/${tier}/`, signal)) {
        const location = parseBackupPrefix(`${source}/${tier}/${id}/`);
        if (location) yield location;
      }
    }
  }
}

async function findIn(
  backend: Backend,
  folder: BackupLocation,
  checkingKeys: readonly CheckingKey[] | undefined,
  signal: AbortSignal | undefined,
): Promise<FoundBackup | UnpublishedFolder> {
  const key = manifestKey(folder);
  try {
    return { key, ...(await readManifest(backend, folder, checkingKeys, signal)) };
  } catch (error) {
    if (isHoldfastError(error, 'ObjectMissing')) return { location: folder };
    if (isHoldfastError(error, 'ManifestInvalid') || isHoldfastError(error, 'KeyMissing'))
      return { key, location: folder, problem: error };
    throw error;
  }
}
