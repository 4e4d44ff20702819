import type { Readable } from 'node:stream';
import { HoldfastError } from '../errors.ts';
import { createTarReader, type TarEntry } from './tarReader.ts';

/** What an archive holds, counted entry by entry. */
export interface ArchiveTotals {
  readonly entries: number;
  readonly files: number;
  readonly directories: number;
  /** Symbolic and hard links. A file's first name is a file, every further one a hard link. */
  readonly links: number;
  /** FIFOs and devices. */
  readonly special: number;
  /** Apparent size of the regular files in bytes. */
  readonly bytes: number;
}

export interface TotalsCounter {
  add(entry: TarEntry): void;
  totals(): ArchiveTotals;
}

export function createTotalsCounter(): TotalsCounter {
  const totals = { entries: 0, files: 0, directories: 0, links: 0, special: 0, bytes: 0 };
  return {
    add: (entry) => {
      totals.entries++;
      totals.bytes += entry.bytes;
      if (entry.kind === 'file') totals.files++;
      else if (entry.kind === 'directory') totals.directories++;
      else if (entry.kind === 'symlink' || entry.kind === 'hardlink') totals.links++;
      else totals.special++;
    },
    totals: () => ({ ...totals }),
  };
}

/**
 * Reads a whole tar archive, to its last byte, and says what it holds. This is what "opened" means for a file tree.
 * Rejects with `ObjectDamaged` when the archive is cut short or is not whole; an error of the stream itself (a wrong
 * authentication tag further up, say) is passed on as it is.
 */
export async function listArchive(stream: Readable): Promise<ArchiveTotals> {
  const counter = createTotalsCounter();
  const reader = createTarReader({
    onEntry: (entry) => {
      counter.add(entry);
      return 'keep';
    },
    damaged: archiveDamaged,
  });
  for await (const chunk of stream) reader.push(chunk as Buffer);
  reader.end();
  return counter.totals();
}

export function archiveDamaged(what: string): HoldfastError {
  return new HoldfastError('ObjectDamaged', `the archive is damaged: ${what}`, {
    advice: 'Verify the other copies of this backup and use one that is whole.',
  });
}
