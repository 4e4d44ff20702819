import { formatBytes } from '../format.ts';
import { cutList } from '../postgres/identifiers.ts';
import type { RestoredTreeResult } from './flow.ts';

/** What became of a tree, for people. */
export function describeTree({ tree, targets, keptAs, meanwhile, restored, comparison }: RestoredTreeResult): string[] {
  const { totals, leftOut, backend } = restored;
  const { outsideLinks, specialFiles } = leftOut;
  return [
    `Tree ${tree}: ${cutList(targets)}, ${totals.files} files (${formatBytes(totals.bytes)}) from ${backend}, equal to the backup.`,
    ...(keptAs.length === 0 ? [] : [`What was there is kept as ${cutList(keptAs)}.`]),
    ...(meanwhile.length === 0 ? [] : [`What was made there meanwhile is kept as ${cutList(meanwhile)}.`]),
    ...(outsideLinks.count === 0
      ? []
      : [
          `${outsideLinks.count} symbolic links that lead out of the tree are left out: ${cutList(outsideLinks.paths, outsideLinks.count)}.`,
        ]),
    ...(specialFiles.count === 0
      ? []
      : [`${specialFiles.count} special files are left out: ${cutList(specialFiles.paths, specialFiles.count)}.`]),
    ...comparison.notices,
  ];
}

/** Shell commands for who wants the files of before back, or is done with them. */
export function wayBackOf(trees: readonly RestoredTreeResult[]): { goBack: string[]; drop: string[] } {
  return { goBack: trees.flatMap(({ goBack }) => goBack), drop: trees.flatMap(({ dropKept }) => dropKept) };
}
