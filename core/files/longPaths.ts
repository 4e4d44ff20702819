import { open } from 'node:fs/promises';
import { pathOf } from './pinnedDirectory.ts';

/**
 * What an open(2) and its like take at most, in bytes (PATH_MAX of Linux, without its zero byte). Whoever goes down by
 * handles can make longer ones, and tar reads them; nothing that unpacks an archive can open them again.
 */
export const LONGEST_PATH = 4095;

/** Node-tar puts the directory before every name. Where that is reached by a handle, no more than this. */
export const LONGEST_PATH_OF_NODE = LONGEST_PATH - 95;

/** So far a path is looked up in one go. What is added to it then (a name, an ending) still fits. */
const IN_ONE_GO = 3000;

/**
 * Does something with a file whose absolute path may be longer than the system takes: `at` leads to it as long as that lasts.
 * Rejects with the system's error; without /proc with ENAMETOOLONG where it is too long.
 */
export async function atLongPath<Result>(file: Buffer, work: (at: Buffer) => Promise<Result>): Promise<Result> {
  const cut = file.length <= IN_ONE_GO ? 0 : file.lastIndexOf('/', IN_ONE_GO);
  if (cut <= 0) return work(file);
  const above = file.subarray(0, cut);
  const handle = await open(above, 'r');
  try {
    const top = Buffer.from(await pathOf(handle, above));
    if (top.equals(above)) return await work(file);
    return await atLongPath(Buffer.concat([top, file.subarray(cut)]), work);
  } finally {
    await handle.close();
  }
}
