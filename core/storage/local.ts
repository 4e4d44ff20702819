import { constants } from 'node:fs';
import { lstat, readdir, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LocalBackendConfiguration } from '../config/schema.ts';
import { codeOf, HoldfastError } from '../errors.ts';
import type { Backend, GetOptions, StoredObject } from './backend.ts';
import { readableOf } from './download.ts';
import { checkKey, checkPrefix, compareKeys } from './keys.ts';
import { createPace } from './pace.ts';
import {
  attempt,
  findPath,
  localError,
  openFile,
  OWN_FOLDER,
  removeEmptyFolders,
  requireRoot,
  syncDirectory,
  type LocalPlace,
} from './localFiles.ts';
import { abortLocalUpload, beginLocalUpload, listLocalUploads, storeWhole } from './localUpload.ts';

const READ_BYTES = 2 ** 20;
/** Names directly below the root that hold no objects: our own folder, and fsck's on a filesystem's top. */
const NOT_OURS_TO_LIST = new Set([OWN_FOLDER, 'lost+found']);

/** A directory as a backend. The directory must exist when it is used; it is never created. */
export function openLocalBackend(name: string, configuration: LocalBackendConfiguration): Backend {
  const place: LocalPlace = { backend: name, root: configuration.path };
  const pace = createPace(configuration.bandwidth ?? null);
  const run = <Result>(action: string, signal: AbortSignal | undefined, work: () => Promise<Result>) =>
    attempt(place, action, signal, async () => {
      await requireRoot(place);
      return work();
    });
  return {
    name,
    type: 'local',
    pace,
    put: async (key, body, options = {}) => {
      checkLocalKey(name, key);
      const { ifAbsent = false, hashes, signal } = options;
      await pace.take(body.length, signal);
      return run(`store ${key}`, signal, () => storeWhole(place, key, body, { ifAbsent, hashes, signal }));
    },
    beginUpload: async (key, options) => {
      checkLocalKey(name, key);
      const upload = await run(`begin the upload of ${key}`, options.signal, () =>
        beginLocalUpload(place, key, options),
      );
      return {
        ...upload,
        putSegment: async (number, body, hashes, signal) => {
          await pace.take(body.length, signal);
          return upload.putSegment(number, body, hashes, signal);
        },
      };
    },
    listUploads: async function* (prefix, signal) {
      checkPrefix(name, prefix);
      yield* await run(`list the uploads under ${prefix}`, signal, () => listLocalUploads(place, prefix));
    },
    abortUpload: (upload, signal) =>
      run(`abort the upload of ${upload.key}`, signal, () => abortLocalUpload(place, upload.locator)),
    get: async (key, options = {}) => {
      checkLocalKey(name, key);
      return run(`read ${key}`, options.signal, () => openForReading(place, key, options));
    },
    head: async (key, signal) => {
      checkLocalKey(name, key);
      return run(`look up ${key}`, signal, () => lookUp(place, key));
    },
    list: async function* (prefix, signal) {
      checkPrefix(name, prefix);
      await run(`list ${prefix}`, signal, async () => undefined);
      yield* walk(place, '', prefix, signal);
    },
    listDirectories: async function* (prefix, signal) {
      checkPrefix(name, prefix);
      const entries = await run(`list ${prefix}`, signal, () => readFolder(place, prefix));
      for (const entry of entries) if (entry.folder) yield entry.name;
    },
    delete: async (key, signal) => {
      checkLocalKey(name, key);
      await run(`delete ${key}`, signal, () => remove(place, key));
    },
    capacity: () =>
      run('read its capacity', undefined, async () => {
        const { blocks, bavail, bsize } = await statfs(place.root);
        return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
      }),
    // Every file is closed where it was opened.
    close: () => undefined,
  };
}

async function openForReading(place: LocalPlace, key: string, options: GetOptions) {
  const found = await lookUp(place, key);
  const path = await findPath(place, key);
  if (found === undefined || path === undefined) {
    throw new HoldfastError('ObjectMissing', `backend ${place.backend}: there is no ${key}`);
  }
  const { start, end } = options.range ?? { start: 0, end: found.bytes };
  if (end > start && start >= found.bytes) {
    throw new HoldfastError(
      'InvalidInput',
      `backend ${place.backend}: ${key} has ${found.bytes} bytes, a range cannot start at ${start}`,
    );
  }
  const handle = await openFile(path, constants.O_RDONLY);
  const produce = async function* (stopped: AbortSignal) {
    try {
      for (let position = start; position < end && !stopped.aborted;) {
        const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, end - position));
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        yield chunk.subarray(0, bytesRead);
      }
    } catch (error) {
      throw localError(place, `read ${key}`, error);
    }
  };
  return readableOf({ produce, release: () => handle.close() }, options.signal);
}

async function lookUp(place: LocalPlace, key: string): Promise<StoredObject | undefined> {
  const path = await findPath(place, key);
  if (path === undefined) return undefined;
  const found = await lstatIfThere(path);
  if (found?.isSymbolicLink()) throw Object.assign(new Error(`${path} is a symbolic link`), { code: 'ELOOP' });
  return found?.isFile() ? { key, bytes: found.size, modifiedAt: found.mtime } : undefined;
}

async function remove(place: LocalPlace, key: string): Promise<void> {
  const path = await findPath(place, key);
  if (path === undefined) return;
  try {
    await unlink(path);
    await syncDirectory(dirname(path));
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  await removeEmptyFolders(place, key);
}

async function* walk(
  place: LocalPlace,
  folder: string,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<StoredObject, void, undefined> {
  const entries = await attempt(place, `list ${folder}`, signal, () => readFolder(place, folder));
  for (const entry of entries) {
    const key = folder + entry.name;
    if (entry.folder) {
      if (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`)) yield* walk(place, `${key}/`, prefix, signal);
    } else if (key.startsWith(prefix)) {
      const found = await attempt(place, `list ${key}`, signal, () => lstatIfThere(join(place.root, key)));
      if (found) yield { key, bytes: found.size, modifiedAt: found.mtime };
    }
  }
}

/** Folders and plain files in key order: a folder sorts as if its name ended with `/`, for so do the keys below it. */
async function readFolder(place: LocalPlace, folder: string): Promise<{ name: string; folder: boolean }[]> {
  const path = await findPath(place, folder);
  if (path === undefined) return [];
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isDirectory() || entry.isFile())
    .filter((entry) => folder !== '' || !NOT_OURS_TO_LIST.has(entry.name))
    .map((entry) => ({ name: entry.name, folder: entry.isDirectory() }))
    .map((entry) => ({ ...entry, order: entry.folder ? `${entry.name}/` : entry.name }))
    .toSorted((left, right) => compareKeys(left.order, right.order));
}

async function lstatIfThere(path: string) {
  return lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

function checkLocalKey(backend: string, key: string): void {
  checkKey(backend, key);
  const first = key.split('/')[0] ?? '';
  if (!NOT_OURS_TO_LIST.has(first)) return;
  throw new HoldfastError('InvalidInput', `backend ${backend}: the key ${key} is refused: ${first} is reserved`);
}
