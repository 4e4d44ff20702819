import { posix } from 'node:path';
import type { PathList } from '../backup/part.ts';
import { HoldfastError } from '../errors.ts';
import { createPathCollector, printablePath, type PathCollector } from './paths.ts';
import type { TarEntry } from './tarReader.ts';

export interface GuardOptions {
  /** Keep symbolic links that lead out of the directory; they are created but nothing is ever written through them. */
  readonly outsideLinks: boolean;
  /** Keep FIFOs and devices. */
  readonly specialFiles: boolean;
}

/** What was in the archive and was not extracted. */
export interface LeftOut {
  readonly outsideLinks: PathList;
  readonly specialFiles: PathList;
}

export interface ArchiveGuard {
  /** `wanted`: false for one that is not to be extracted anyway. It is judged like the others, but never listed as left out. */
  judge(entry: TarEntry, wanted?: boolean): 'keep' | 'drop';
  leftOut(): LeftOut;
}

/**
 * Judges every entry of an archive before the program that extracts gets to see it. What no archive of a tree can hold
 * (a name that is absolute or climbs with `..`, a hard link out of the tree, a file below a symbolic link) was put there
 * to write elsewhere: the whole archive is refused. What a tree can well hold but is not harmless (symbolic links that
 * lead out of it, FIFOs, devices) is left out and listed, unless asked for.
 */
export function createArchiveGuard(options: GuardOptions): ArchiveGuard {
  const symlinks = new Set<string>();
  /** Where each of what was left out is listed: a further name of it cannot be made either. */
  const dropped = new Map<string, PathCollector>();
  const outsideLinks = createPathCollector();
  const specialFiles = createPathCollector();

  const inside = (name: string, what: string): string => {
    const segments = name.split('/');
    if (name.startsWith('/') || segments.includes('..'))
      throw refused(`${what} ${printablePath(name)} leaves the tree`);
    const path = posix.normalize(name).replace(/\/$/, '');
    for (const parent of parentsOf(path))
      if (symlinks.has(parent)) throw refused(`${what} ${printablePath(name)} goes through a symbolic link`);
    return path;
  };

  const leaveOut = (entry: TarEntry, path: string, list: PathCollector, wanted: boolean) => {
    dropped.set(path, list);
    if (wanted) list.add(entry.path);
    return 'drop' as const;
  };

  return {
    judge: (entry, wanted = true) => {
      const path = inside(entry.path, 'the entry');
      if (path === '.' && entry.kind !== 'directory') throw refused('its root is no directory');
      if (symlinks.has(path)) throw refused(`the entry ${printablePath(entry.path)} replaces a symbolic link`);
      if (entry.kind === 'hardlink') {
        const target = inside(entry.linkPath, 'the hard link to');
        if (symlinks.has(target)) symlinks.add(path);
        const list = dropped.get(target);
        if (list) return leaveOut(entry, path, list, wanted);
      }
      if (entry.kind === 'symlink') {
        symlinks.add(path);
        if (!options.outsideLinks && leadsOutside(entry)) {
          return leaveOut(entry, path, outsideLinks, wanted);
        }
      }
      if ((entry.kind === 'fifo' || entry.kind === 'device') && !options.specialFiles) {
        return leaveOut(entry, path, specialFiles, wanted);
      }
      return wanted ? 'keep' : 'drop';
    },
    leftOut: () => ({ outsideLinks: outsideLinks.list(), specialFiles: specialFiles.list() }),
  };
}

/**
 * Whether a symbolic link can lead out of the tree. `..` is followed only at the target's beginning, where
 * the link's own directory is known to be a real one; further on it might climb from wherever another link leads.
 */
export function leadsOutside({ path: name, linkPath: target }: Pick<TarEntry, 'path' | 'linkPath'>): boolean {
  if (target.startsWith('/')) return true;
  const path = posix.normalize(name);
  const segments = target.split('/').filter((segment) => segment !== '' && segment !== '.');
  const climbs = segments.findIndex((segment) => segment !== '..');
  const leading = climbs === -1 ? segments.length : climbs;
  return leading > parentsOf(path).length || segments.slice(leading).includes('..');
}

/** `a/b/c` has the parents `a` and `a/b`. */
function parentsOf(path: string): string[] {
  const segments = path.split('/');
  return segments.slice(1).map((_segment, index) => segments.slice(0, index + 1).join('/'));
}

/** The error for an archive that is not what Holdfast writes. */
export function refused(what: string): HoldfastError {
  return new HoldfastError('RefusedForSafety', `the archive is refused: ${what}`, {
    advice: 'Holdfast writes no such archive. Find out who made or changed it before using anything of it.',
  });
}
