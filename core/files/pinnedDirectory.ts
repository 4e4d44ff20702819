import { constants } from 'node:fs';
import { access, open, type FileHandle } from 'node:fs/promises';

/*
 * A path is looked up anew by every call that gets it, and whoever may write to a directory on the way can put a symbolic
 * link there between two of them. What is done below a directory's handle is done in that very directory. Node has none of
 * the system's calls that take one (openat(2), renameat(2)); Linux shows an open file's handle as a path (proc(5)).
 */

/** A directory that stays the one it was when it was opened, whatever its name leads to meanwhile. */
export interface PinnedDirectory {
  /** Leads to it for as long as it is open, in this process; in another one only as its working directory. */
  readonly at: string;
  close(): Promise<void>;
}

/**
 * Opens a directory. A symbolic link is followed on the way, not at the end. Rejects with the system's error: ENOENT, and
 * ENOTDIR or ELOOP for what is no directory. Without /proc its `at` is the path it was opened by.
 */
export async function pinDirectory(directory: string): Promise<PinnedDirectory> {
  const handle = await openDirectory(directory);
  try {
    return { at: await pathOf(handle, directory), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The same for one below a directory, by its relative path: no symbolic link is followed anywhere. */
export async function pinBelow(top: PinnedDirectory, within: string): Promise<PinnedDirectory> {
  let pinned = await pinDirectory(`${top.at}/.`);
  for (const name of within.split('/').filter((each) => each !== '')) {
    const above = pinned;
    try {
      pinned = await pinDirectory(`${above.at}/${name}`);
    } finally {
      await above.close();
    }
  }
  return pinned;
}

/** Opens a directory, and no symbolic link to one. */
export function openDirectory(directory: string | Buffer): Promise<FileHandle> {
  return open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/** An open directory by its handle; by its name where the system knows no such path. */
export async function pathOf<Path extends string | Buffer>({ fd }: FileHandle, name: Path): Promise<string | Path> {
  const pinned = `/proc/self/fd/${fd}`;
  return access(pinned).then(
    () => pinned,
    () => name,
  );
}
