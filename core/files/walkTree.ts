import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { excludeFilter } from './excludes.ts';
import { atLongPath } from './longPaths.ts';

export interface WalkedEntry {
  /** `.` for the root, `./a/b` below it; one character a byte. */
  readonly path: string;
  readonly stats: BigIntStats;
}

export interface WalkOptions {
  readonly path: string;
  readonly exclude: readonly string[];
  /** Told of every entry that could not be looked at. */
  readonly onTrouble: (path: string, error: unknown) => void;
}

/** Every entry of a tree, parents first, each directory in the order of its names' bytes. Links are not followed. */
export async function* walkTree(options: WalkOptions): AsyncGenerator<WalkedEntry> {
  const excluded = excludeFilter(options.exclude);
  const waiting = ['.'];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (excluded(path)) continue;
    try {
      // The root itself may be a symbolic link, as `current -> releases/7`: the slash makes the kernel follow it.
      const named = path === '.' ? Buffer.from(`${options.path}/`) : bytePath(options.path, path);
      const stats = await atLongPath(named, (at) => lstat(at, { bigint: true }));
      yield { path, stats };
      if (stats.isDirectory()) waiting.push(...(await childrenOf(options.path, path)));
    } catch (error) {
      options.onTrouble(path, error);
    }
  }
}

/** Last name first, as the walk takes from the end. */
async function childrenOf(root: string, path: string): Promise<string[]> {
  const names = await atLongPath(bytePath(root, path), (at) => readdir(at, { encoding: 'latin1' }));
  return names.toSorted((one, other) => (one < other ? 1 : -1)).map((name) => `${path}/${name}`);
}

/** The absolute path of an entry, as bytes. It may be too long for the system: see `atLongPath`. */
export function bytePath(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}
