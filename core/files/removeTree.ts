import { chmod, lstat, readdir, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { codeOf } from '../errors.ts';
import { openDirectory, pathOf } from './pinnedDirectory.ts';

/**
 * Removes a directory and all below it, or nothing where there is none. Unlike Node's own `rm` it takes names that are no
 * UTF-8, and directories that their owner may not write to. No link is followed: one in the directory's place is left as
 * it is, and ENOTDIR. Rejects with the system's error.
 */
export async function removeTree(directory: string | Buffer): Promise<void> {
  const at = Buffer.from(directory);
  const handle = await openIfThere(at);
  if (handle === undefined) return;
  try {
    // Whoever may write beside it may put a link in its place meanwhile: what is emptied is what was opened.
    await remove(Buffer.from(await pathOf(handle, at)), at);
  } finally {
    await handle.close();
  }
}

/** Removes all that is in a directory, as `removeTree` does, and leaves itself. */
export async function emptyTree(directory: string): Promise<void> {
  await empty(Buffer.from(directory));
}

async function openIfThere(directory: Buffer): Promise<FileHandle | undefined> {
  try {
    return await openDirectory(directory).catch(async (error: unknown) => {
      if (codeOf(error) !== 'EACCES' || !(await lstat(directory)).isDirectory()) throw error;
      await chmod(directory, 0o700);
      return openDirectory(directory);
    });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `contents`: the path by which it is emptied; `directory`: by which it goes. */
async function remove(contents: Buffer, directory: Buffer): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await empty(contents);
      await rmdir(directory);
      return;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      // A program that was writing into it may only just have ended.
      if (codeOf(error) !== 'ENOTEMPTY' || tries === MOST_TRIES) throw error;
    }
  }
}

const MOST_TRIES = 3;

const AT_ONCE = 32;

async function empty(directory: Buffer): Promise<void> {
  const entries = (await entriesOf(directory)).values();
  const worker = async () => {
    for (const { name, isDirectory } of entries) {
      const at = Buffer.concat([directory, Buffer.from('/'), name]);
      if (isDirectory) await remove(at, at);
      else await unlink(at).catch(ignoreMissing);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function entriesOf(directory: Buffer): Promise<{ readonly name: Buffer; readonly isDirectory: boolean }[]> {
  const read = () => readdir(directory, { withFileTypes: true, encoding: 'buffer' });
  const entries = await read().catch((error: unknown) => {
    if (codeOf(error) !== 'EACCES') throw error;
    return undefined;
  });
  // What may not be listed, or not be written to, is as it was in the archive; it is ours to open.
  if (entries === undefined || entries.length > 0) await chmod(directory, 0o700);
  return (entries ?? (await read())).map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}
