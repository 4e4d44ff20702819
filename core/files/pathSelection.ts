import { posix } from 'node:path';
import { HoldfastError } from '../errors.ts';
import type { TarEntry } from './tarReader.ts';

/** Which entries of an archive are wanted, and which of the wanted paths it turned out to have. */
export interface PathSelection {
  /** Asked once of every entry, in the archive's order. */
  wants(entry: TarEntry): boolean;
  /** Whether an entry is wanted for itself, and not because it is above one that is. */
  holds(name: string): boolean;
  /** Wanted paths that no entry was met for. */
  unmet(): string[];
  /**
   * Names that were not wanted, though a wanted one is a further name of theirs: an archive holds the contents under the
   * first name only. Without these the wanted one cannot be extracted, and `wants` left it out. One character a byte.
   */
  missingContents(): string[];
}

/**
 * The files and folders with these paths, with all they hold, and the directories above them. `contents`: names that are
 * needed beside, from `missingContents` of an earlier look. Throws InvalidInput for what is no path within a tree.
 */
export function selectPaths(paths: readonly string[], contents: readonly string[] = []): PathSelection {
  const wanted = treePaths(paths).map((path) => ({ path, bytes: Buffer.from(path, 'utf8').toString('latin1') }));
  const extra = new Set(contents);
  const met = new Set<string>();
  const missing = new Set<string>();
  const isWanted = (name: string) => {
    const holder = wanted.find(({ bytes }) => name === bytes || name.startsWith(`${bytes}/`));
    if (holder && name === holder.bytes) met.add(holder.path);
    return holder !== undefined || extra.has(name);
  };
  const isAbove = (name: string) => name === '.' || wanted.some(({ bytes }) => bytes.startsWith(`${name}/`));
  return {
    wants: (entry) => {
      const name = plainName(entry.path);
      if (!isWanted(name)) return entry.kind === 'directory' && isAbove(name);
      if (entry.kind !== 'hardlink') return true;
      const target = plainName(entry.linkPath);
      if (isWanted(target)) return true;
      missing.add(target);
      return false;
    },
    holds: (name) => wanted.some(({ bytes }) => name === bytes || name.startsWith(`${bytes}/`)),
    unmet: () => wanted.filter(({ path }) => !met.has(path)).map(({ path }) => path),
    missingContents: () => [...missing],
  };
}

/**
 * Paths relative to a tree in one form, without those that another one holds. Throws InvalidInput for one that is empty,
 * absolute, or climbs.
 */
export function treePaths(paths: readonly string[]): string[] {
  const plain = paths.map((path) => {
    const normal = posix.normalize(path).replace(/\/$/, '');
    const climbs = path.split('/').includes('..');
    if (path === '' || normal === '.' || path.startsWith('/') || climbs || path.includes('\0'))
      throw new HoldfastError('InvalidInput', `${JSON.stringify(path)} is no path within a tree`, {
        advice: 'Give it relative to the tree, e.g. photos/2026/a.jpg; leave paths out for the whole tree.',
      });
    return normal;
  });
  return [...new Set(plain)].filter((path) => !plain.some((other) => path.startsWith(`${other}/`)));
}

/** The name of an entry without `./` before and `/` behind it; `.` is the root. */
export function plainName(path: string): string {
  return posix.normalize(path).replace(/\/$/, '');
}
