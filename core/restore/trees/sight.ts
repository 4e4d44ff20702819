import type { PathList } from '../../backup/part.ts';
import { codeOf } from '../../errors.ts';
import { createPathCollector } from '../../files/paths.ts';
import { plainName } from '../../files/pathSelection.ts';
import type { TarEntry } from '../../files/tarReader.ts';

/**
 * What of a restored tree may be looked at. Modes that keep their owner out (0000, as /etc/shadow has it) keep out whoever
 * restored the tree, unless that is root: what is behind them came back as unpacked, and cannot be compared.
 */
export interface Sight {
  /** To be told of every entry of the archive, a directory before what is in it. */
  meet(entry: TarEntry): void;
  /** Whether it lies in a directory that may not be entered: `look` rejects with EACCES then. */
  isHidden(entry: TarEntry, look: () => Promise<unknown>): Promise<boolean>;
  /** Whether it may not be read, by its own mode: `read` rejects with EACCES then. */
  isClosed(entry: TarEntry, read: () => Promise<unknown>): Promise<boolean>;
  /** Whether what is at or below this path may be out of sight. */
  forgives(path: string): boolean;
  /** How many were hidden. */
  unseen(): number;
  /** All that was hidden or closed. */
  list(): PathList;
}

const MAY_READ = 0o400;
const MAY_LOOK_INTO = 0o500;

export function createSight(isRoot = process.getuid?.() === 0): Sight {
  const closed = new Set<string>();
  const found = createPathCollector();
  let unseen = 0;
  const isBelowClosed = (name: string) => {
    if (closed.size === 0) return false;
    for (let cut = name.lastIndexOf('/'); cut > 0; cut = name.lastIndexOf('/', cut - 1))
      if (closed.has(name.slice(0, cut))) return true;
    return closed.has('.');
  };
  return {
    meet: ({ kind, mode, path }) => {
      if (!isRoot && kind === 'directory' && (mode & MAY_LOOK_INTO) !== MAY_LOOK_INTO) closed.add(plainName(path));
    },
    isHidden: async ({ path }, look) => {
      if (!isBelowClosed(plainName(path)) || !(await isDenied(look))) return false;
      unseen += 1;
      found.add(plainName(path));
      return true;
    },
    isClosed: async ({ path, mode }, read) => {
      if (isRoot || (mode & MAY_READ) !== 0 || !(await isDenied(read))) return false;
      found.add(plainName(path));
      return true;
    },
    forgives: (path) => closed.has(plainName(path)) || isBelowClosed(plainName(path)),
    unseen: () => unseen,
    list: () => found.list(),
  };
}

async function isDenied(look: () => Promise<unknown>): Promise<boolean> {
  try {
    await look();
    return false;
  } catch (error) {
    return codeOf(error) === 'EACCES';
  }
}
