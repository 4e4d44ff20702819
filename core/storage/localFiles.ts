import { constants } from 'node:fs';
import { chmod, lstat, mkdir, open, rmdir, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError, messageOf, type ErrorType } from '../errors.ts';

/** The file operations of the local backend: private modes, no link followed below the root, nothing left unsynced. */

/** Where something happened, for messages. */
export interface LocalPlace {
  readonly backend: string;
  readonly root: string;
}

/** The backend's own folder below its root: uploads in progress. On the same filesystem, so that a rename is enough. */
export const OWN_FOLDER = '.holdfast';

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Runs `work` and turns whatever the filesystem says into the backend's errors. */
export async function attempt<Result>(
  place: LocalPlace,
  action: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw localError(place, action, error);
  }
}

/** BackendRefused or BackendUnreachable for a system error; errors of our own pass unchanged. */
export function localError(place: LocalPlace, action: string, error: unknown): unknown {
  if (error instanceof HoldfastError) return error;
  const code = codeOf(error);
  const { type, what, advice } = meaningOf(code, place.root);
  return new HoldfastError(type, `backend ${place.backend}: cannot ${action}: ${what ?? messageOf(error)}`, {
    ...(advice && { advice }),
    cause: error,
  });
}

/** Refuses a root that is not there: creating it would write the copies under an unmounted mount point. */
export async function requireRoot(place: LocalPlace): Promise<void> {
  const found = await stat(place.root).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  });
  if (found?.isDirectory()) return;
  throw new HoldfastError(
    'BackendRefused',
    `backend ${place.backend}: ${place.root} ${found ? 'is not a directory' : 'does not exist'}`,
    { advice: `Mount the storage, or create the directory ${place.root} if the copies belong on this disk.` },
  );
}

/**
 * The path of a key below the root, or undefined where one of its folders is missing.
 * Refuses to pass through a symbolic link: it could lead out of the root.
 */
export async function findPath(place: LocalPlace, key: string): Promise<string | undefined> {
  let path = place.root;
  for (const element of key.split('/').slice(0, -1)) {
    path = join(path, element);
    if (!(await isPlainDirectory(place, path))) return undefined;
  }
  return join(place.root, key);
}

/** Makes the folders of a key that are missing, each durable and open to the owner alone. */
export async function makeFolders(place: LocalPlace, key: string): Promise<string> {
  let path = place.root;
  for (const element of key.split('/').slice(0, -1)) {
    path = join(path, element);
    if (await isPlainDirectory(place, path)) continue;
    await makePrivateDirectory(path);
  }
  return join(place.root, key);
}

/** Opens a file without following a link in its place. A new one gets mode 0600 whatever the umask is. */
export async function openFile(path: string, flags: number): Promise<FileHandle> {
  const handle = await open(path, flags | constants.O_NOFOLLOW, FILE_MODE);
  if ((flags & constants.O_CREAT) === 0) return handle;
  try {
    await handle.chmod(FILE_MODE);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export async function writeAll(handle: FileHandle, body: Buffer, position: number): Promise<void> {
  let written = 0;
  while (written < body.length) {
    const { bytesWritten } = await handle.write(body, written, body.length - written, position + written);
    written += bytesWritten;
  }
}

/** Makes renames and deletions in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE filesystems have no fsync of directories; there is nothing more to be done there.
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

/** Removes the folders of a key that are empty now, deepest first, never the root. */
export async function removeEmptyFolders(place: LocalPlace, key: string): Promise<void> {
  const folders = key.split('/').slice(0, -1);
  for (let depth = folders.length; depth > 0; depth -= 1) {
    try {
      await rmdir(join(place.root, ...folders.slice(0, depth)));
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error) ?? '')) return;
      throw error;
    }
  }
}

async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: DIRECTORY_MODE });
  } catch (error) {
    // Another writer was faster; whether it made a directory is seen on the next step down.
    if (codeOf(error) !== 'EEXIST') throw error;
    return;
  }
  await chmod(path, DIRECTORY_MODE);
  await syncDirectory(dirname(path));
}

async function isPlainDirectory(place: LocalPlace, path: string): Promise<boolean> {
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined || found.isDirectory()) return found !== undefined;
  throw new HoldfastError(
    'BackendRefused',
    `backend ${place.backend}: ${path} is ${found.isSymbolicLink() ? 'a symbolic link' : 'not a directory'}`,
    { advice: `Only plain directories may stand below ${place.root}; remove it or move it away.` },
  );
}

interface Meaning {
  readonly type: ErrorType;
  readonly what?: string;
  readonly advice?: string;
}

function meaningOf(code: string | undefined, root: string): Meaning {
  const meaning = MEANINGS[code ?? ''];
  return meaning?.(root) ?? { type: 'BackendUnreachable', advice: `Check the disk or the network mount of ${root}.` };
}

/** Codes of errno(3) that do not pass by themselves. Any other, EIO and ESTALE among them, may. */
const MEANINGS: Readonly<Record<string, (root: string) => Meaning>> = {
  ENOSPC: (root) => ({
    type: 'BackendRefused',
    what: 'no space left',
    advice: `Free space on the filesystem of ${root}.`,
  }),
  EDQUOT: () => ({
    type: 'BackendRefused',
    what: 'the disk quota is used up',
    advice: 'Free space or raise the quota.',
  }),
  EROFS: (root) => ({
    type: 'BackendRefused',
    what: 'the filesystem is read-only',
    advice: `Look in the kernel log for disk errors, then remount ${root} for writing.`,
  }),
  EACCES: denied,
  EPERM: denied,
  ELOOP: (root) => ({
    type: 'BackendRefused',
    what: 'a symbolic link stands in its place',
    advice: `Only plain files and directories may stand below ${root}; remove the link.`,
  }),
  ENOTDIR: unfit,
  EISDIR: unfit,
  EXDEV: unfit,
  ENAMETOOLONG: unfit,
  EFBIG: unfit,
};

function denied(root: string): Meaning {
  return {
    type: 'BackendRefused',
    what: 'permission denied',
    advice: `Give the user that runs Holdfast the ownership of ${root} and all below it.`,
  };
}

function unfit(root: string): Meaning {
  return { type: 'BackendRefused', advice: `Look at what lies below ${root}: the filesystem does not take this file.` };
}
