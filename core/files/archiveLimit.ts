import type { TreeReport } from '../backup/part.ts';
import { refused } from './archiveGuard.ts';
import { archiveDamaged, createTotalsCounter } from './listArchive.ts';
import type { TarEntry } from './tarReader.ts';

/** What an archive holds by its manifest, of which the signature was checked. */
export type ExpectedTotals = Pick<TreeReport, (typeof COUNTED)[number]>;

export interface ArchiveLimit {
  /** Throws `RefusedForSafety` at the first entry that is more than there should be. */
  add(entry: TarEntry): void;
  /** Throws `ObjectDamaged` where there was less. */
  readonly end: () => void;
}

const COUNTED = ['files', 'directories', 'links', 'bytes'] as const;

/**
 * Holds an archive against its manifest while it passes: a file that claims to be larger than everything the manifest
 * knows of, as a hole that costs nothing to send, or entries without end stop here, before they fill a disk.
 */
export function createArchiveLimit(expected: ExpectedTotals | undefined): ArchiveLimit {
  const counter = createTotalsCounter();
  if (!expected) return { add: () => undefined, end: () => undefined };
  return {
    add: (entry) => {
      counter.add(entry);
      const found = counter.totals();
      const over = COUNTED.find((what) => found[what] > expected[what]);
      if (over !== undefined)
        throw refused(`it holds more than the ${expected[over]} ${over} that its manifest tells of`);
    },
    end: () => {
      const found = counter.totals();
      const under = COUNTED.find((what) => found[what] < expected[what]);
      if (under !== undefined)
        throw archiveDamaged(`it holds ${found[under]} ${under}, its manifest tells of ${expected[under]}`);
    },
  };
}
