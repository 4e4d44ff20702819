import { formatBytes } from '../format.ts';
import { cutList } from '../postgres/identifiers.ts';
import type { RestoredTreeResult } from './flow.ts';
import type { RestoredTree } from './trees.ts';

/** What became of a tree, for people. */
export function describeTree({ tree, targets, keptAs, meanwhile, restored, comparison }: RestoredTreeResult): string[] {
  const { totals, leftOut, backend } = restored;
  const { outsideLinks, specialFiles } = leftOut;
  const left = countLeftOut(restored);
  const verdict = left === 0 ? 'equal to the backup' : `equal to the backup but for ${left} entries that are left out`;
  return [
    `Tree ${tree}: ${cutList(targets)}, ${totals.files} files (${formatBytes(totals.bytes)}) from ${backend}, ${verdict}.`,
    ...(keptAs.length === 0 ? [] : [`What was there is kept as ${cutList(keptAs)}.`]),
    ...(meanwhile.length === 0 ? [] : [`What was made there meanwhile is kept as ${cutList(meanwhile)}.`]),
    ...(outsideLinks.count === 0
      ? []
      : [
          `NOT restored: ${outsideLinks.count} symbolic links that lead out of the tree: ${cutList(outsideLinks.paths, outsideLinks.count)}. \`--outside-links\` restores them too.`,
        ]),
    ...(specialFiles.count === 0
      ? []
      : [
          `NOT restored: ${specialFiles.count} FIFOs and devices: ${cutList(specialFiles.paths, specialFiles.count)}. Make them by hand (mkfifo, mknod), or copy them from what was there.`,
        ]),
    ...comparison.notices,
  ];
}

/** How much of a tree the backup has and a restore left out. */
export function countLeftOut({ leftOut: { outsideLinks, specialFiles } }: Pick<RestoredTree, 'leftOut'>): number {
  return outsideLinks.count + specialFiles.count;
}

/** Shell commands for who wants the files of before back, or is done with them. */
export function wayBackOf(trees: readonly RestoredTreeResult[]): { goBack: string[]; drop: string[] } {
  return { goBack: trees.flatMap(({ goBack }) => goBack), drop: trees.flatMap(({ dropKept }) => dropKept) };
}
