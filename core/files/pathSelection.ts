import { posix } from 'node:path';
import { HoldfastError } from '../errors.ts';
import type { PathList } from '../backup/part.ts';
import { createPathCollector, unescapePath } from './paths.ts';
import type { TarEntry } from './tarReader.ts';

/** Which entries of an archive are wanted, and which of the wanted paths it turned out to have. */
export interface PathSelection {
  /** Asked once of every entry, in the archive's order. */
  wants(entry: TarEntry): boolean;
  /** Whether an entry is wanted for itself, and not because it is above one that is. */
  holds(name: string): boolean;
  /** Wanted paths that no entry was met for. */
  unmet(): string[];
  /** Other names of files that are wanted, which are not wanted themselves. */
  otherNames(): PathList;
  /** Wanted paths that the archive has by another name, of which they are the escaped form. */
  metEscaped(): string[];
  /** Wanted paths of which this is true, asked by their names of one character a byte. */
  wanted(which: (name: string) => boolean): string[];
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
  const wanted = treePaths(paths).map((path) => ({ path, ...namesOf(path) }));
  const extra = new Set(contents);
  const met = new Set<string>();
  const metEscaped = new Set<string>();
  const missing = new Set<string>();
  const others = createPathCollector();
  const isWanted = (name: string) => {
    const holder = wanted.find(({ names }) => names.some((each) => isAtOrIn(name, each)));
    if (holder?.names.includes(name) === true) met.add(holder.path);
    if (holder && !isAtOrIn(name, holder.bytes)) metEscaped.add(holder.path);
    return holder !== undefined || extra.has(name);
  };
  const isAbove = (name: string) =>
    name === '.' || wanted.some(({ names }) => names.some((each) => each.startsWith(`${name}/`)));
  const isOther = ({ kind, linkPath }: TarEntry, name: string) =>
    extra.has(name) || (kind === 'hardlink' && !isWanted(name) && isWanted(plainName(linkPath)));
  return {
    otherNames: () => others.list(),
    wants: (entry) => {
      const name = plainName(entry.path);
      if (isOther(entry, name)) others.add(name);
      if (!isWanted(name)) return entry.kind === 'directory' && isAbove(name);
      if (entry.kind !== 'hardlink') return true;
      const target = plainName(entry.linkPath);
      if (isWanted(target)) return true;
      missing.add(target);
      return false;
    },
    holds: (name) => wanted.some(({ names }) => names.some((each) => isAtOrIn(name, each))),
    metEscaped: () => [...metEscaped],
    unmet: () => wanted.filter(({ path }) => !met.has(path)).map(({ path }) => path),
    wanted: (which) => wanted.filter(({ names }) => names.some(which)).map(({ path }) => path),
    missingContents: () => [...missing],
  };
}

/** A name that is no UTF-8 cannot be typed: it is taken as lists and messages show it, too. */
function namesOf(path: string): { readonly bytes: string; readonly names: readonly string[] } {
  const bytes = Buffer.from(path, 'utf8').toString('latin1');
  return { bytes, names: path.includes('\\') ? [bytes, unescapePath(bytes)] : [bytes] };
}

function isAtOrIn(name: string, directory: string): boolean {
  return name === directory || name.startsWith(`${directory}/`);
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
