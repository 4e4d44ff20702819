import { shownPath } from '../../files/paths.ts';
import { plainName } from '../../files/pathSelection.ts';
import { DIFFERENCES_SHOWN, type Difference } from '../run.ts';

/** Collects in what a tree differs: the first by name, all by number. */
export interface DifferenceList {
  /** `path`: one character a byte. */
  add(entry: { readonly path: string; readonly kind: string }, what: string, expected: string, found: string): void;
  list(): { readonly differences: readonly Difference[]; readonly count: number };
}

export function collectDifferences(): DifferenceList {
  const differences: Difference[] = [];
  let count = 0;
  return {
    add: ({ path, kind }, what, expected, found) => {
      count += 1;
      if (differences.length >= DIFFERENCES_SHOWN) return;
      differences.push({ severity: 'difference', kind, object: shownPath(plainName(path)), what, expected, found });
    },
    list: () => ({ differences, count }),
  };
}
