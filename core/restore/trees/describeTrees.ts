import { formatBytes } from '../../format.ts';
import { cutList } from '../../postgres/identifiers.ts';
import type { RestoredTreeResult } from '../flow.ts';
import type { RestoredTree, TakenBackTree, TreeComparison } from './trees.ts';

/** What became of a tree, for people. */
export function describeTree({ tree, targets, keptAs, meanwhile, restored, comparison }: RestoredTreeResult): string[] {
  const { totals, leftOut, backend } = restored;
  const { outsideLinks, specialFiles, longPaths } = leftOut;
  const left = outsideLinks.count + specialFiles.count + longPaths.count;
  const lost = comparison.lost.reduce((sum, { count }) => sum + count, 0);
  const without = [
    ...(left === 0 ? [] : [`${left} entries that are left out`]),
    ...(lost === 0 ? [] : [`${lost} attributes`]),
    ...(comparison.notCompared.count === 0
      ? []
      : [`${comparison.notCompared.count} entries that could not be compared`]),
  ];
  const verdict = without.length === 0 ? 'equal to the backup' : `equal to the backup but for ${without.join(' and ')}`;
  return [
    `Tree ${tree}: ${cutList(targets)}, ${totals.files} files (${formatBytes(totals.bytes)}) from ${backend}, ${verdict}.`,
    ...(keptAs.length === 0 ? [] : [`What was there is kept as ${cutList(keptAs)}.`]),
    ...(meanwhile.length === 0 ? [] : [`What was made there meanwhile is kept as ${cutList(meanwhile)}.`]),
    ...(outsideLinks.count === 0
      ? []
      : [
          `NOT restored: ${outsideLinks.count} symbolic links that lead out of the tree, or may (\`..\` after another name): ${cutList(outsideLinks.paths, outsideLinks.count)}. \`--outside-links\` restores them too.`,
        ]),
    ...(specialFiles.count === 0
      ? []
      : [
          `NOT restored: ${specialFiles.count} FIFOs and devices: ${cutList(specialFiles.paths, specialFiles.count)}. Make them by hand (mkfifo, mknod), or copy them from what was there.`,
        ]),
    ...(longPaths.count === 0
      ? []
      : [
          `NOT restored: ${longPaths.count} entries whose paths are too long to be written: ${cutList(longPaths.paths, longPaths.count)}. \`holdfast extract --as tar\` gives them back.`,
        ]),
    ...describeLost(comparison),
    ...comparison.notices,
  ];
}

/** What of a tree's attributes did not come back, and what of it nobody looked at, for people. */
export function describeLost({ lost, notCompared }: Pick<TreeComparison, 'lost' | 'notCompared'>): string[] {
  return [
    ...lost.map(
      ({ reason, count, paths }) => `NOT restored: ${count} attributes, because ${reason}: ${cutList(paths, count)}.`,
    ),
    ...(notCompared.count === 0
      ? []
      : [
          `NOT compared: ${notCompared.count} entries, because their modes, or those of directories above, keep their owner out, and this is not root: ${cutList(notCompared.paths, notCompared.count)}.`,
        ]),
  ];
}

/** Whether all that the backup has of a tree came back. */
export function isWhole(
  { leftOut }: Pick<RestoredTree, 'leftOut'>,
  comparison?: Pick<TreeComparison, 'lost' | 'notCompared'>,
): boolean {
  const { outsideLinks, specialFiles, longPaths } = leftOut;
  return (
    outsideLinks.count + specialFiles.count + longPaths.count === 0 &&
    (comparison?.lost ?? []).length + (comparison?.notCompared.count ?? 0) === 0
  );
}

/** Where restored files are kept that were in place and were taken back, for people, and the shell commands that remove them. */
export function describeTakenBack(trees: readonly TakenBackTree[] = []): { said: string[]; drop: string[] } {
  return {
    said: trees.map(({ tree, setAsideAs }) => `The restored files of ${tree} are kept as ${cutList(setAsideAs)}.`),
    drop: trees.flatMap(({ drop }) => drop),
  };
}

/** Shell commands for who wants the files of before back, or is done with them. */
export function wayBackOf(trees: readonly RestoredTreeResult[]): { goBack: string[]; drop: string[] } {
  return { goBack: trees.flatMap(({ goBack }) => goBack), drop: trees.flatMap(({ dropKept }) => dropKept) };
}
