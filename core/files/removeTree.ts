import { chmod, readdir, rmdir, unlink } from 'node:fs/promises';
import { codeOf } from '../errors.ts';

/**
 * Removes a directory and all below it, or nothing where there is none. Unlike Node's own `rm` it takes names that are no
 * UTF-8, and directories that their owner may not write to. No link is followed. Rejects with the system's error.
 */
export async function removeTree(directory: string | Buffer): Promise<void> {
  const at = Buffer.from(directory);
  for (let tries = 1; ; tries += 1) {
    try {
      await empty(at);
      await rmdir(at);
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
      if (isDirectory) await removeTree(at);
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
