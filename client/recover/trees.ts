import { HoldfastError } from '../../core/errors.ts';
import { findTar } from '../../core/files/tarProgram.ts';
import { compareTree } from '../../core/restore/trees/compareTree.ts';
import type { RestoredTreeResult } from '../../core/restore/flow.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../../core/restore/trees/placeTree.ts';
import { restoreTree } from '../../core/restore/trees/restoreTree.ts';
import type { ChosenBackup } from '../../core/restore/run.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import type { RecoveryMeans } from './means.ts';

/** A tree that is unpacked and good, and not yet where it belongs. */
export type StagedTree = Pick<RestoredTreeResult, 'restored' | 'comparison'> & { readonly place: TreePlace };

/** Unpacks a tree and holds it against the backup. Throws RestoreFailed for one that is not the same. */
export async function stageTree(
  place: TreePlace,
  outsideLinks: boolean,
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, onProgress, passOver }: RecoveryMeans,
): Promise<StagedTree> {
  const { tree, paths } = place;
  const doing = (what: string) => ({
    copies,
    manifest,
    openingKeys,
    signal,
    tar,
    outsideLinks,
    onProgress: ({ bytes, totalBytes }: { readonly bytes: number; readonly totalBytes: number }) =>
      onProgress(`${what} ${tree}`, bytes, totalBytes),
  });
  const tar = await findTar();
  const restored = await restoreTree({ ...doing('restoring'), place });
  passOver(restored.passedOver);
  const { directory } = restored;
  const comparison = await compareTree({ ...doing('comparing'), tree, directory, paths });
  passOver(comparison.passedOver);
  if (comparison.equal) return { place, restored, comparison };
  const told = comparison.differences.slice(0, 5).map(({ object, what, expected, found }) => {
    return `${object}: ${what} ${expected} -> ${found}`;
  });
  throw new HoldfastError(
    'RestoreFailed',
    `Tree ${tree} came out with ${comparison.differenceCount} differences from the backup: ${told.join('; ')}`,
    {
      advice:
        'Restore onto a file system that keeps modes, owners and times, or take the archive with `recover extract`.',
    },
  );
}

/** Puts all of them where they belong and does what comes `last`, or puts none there. */
export async function placeTrees(
  staged: readonly StagedTree[],
  signal: AbortSignal,
  last?: () => Promise<void>,
): Promise<RestoredTreeResult[]> {
  const placed: RestoredTreeResult[] = [];
  try {
    for (const { place, restored, comparison } of staged) {
      signal.throwIfAborted();
      placed.push({ restored, comparison, ...(await placeTree(place)) });
    }
    signal.throwIfAborted();
    await last?.();
    return placed;
  } catch (error) {
    for (const { place } of staged.toReversed()) await takeBackTree(place);
    throw error;
  }
}

/** Of this try, and of earlier ones that were killed. What of one cannot be removed does not keep the others. */
export async function dropStaged(places: readonly TreePlace[]): Promise<void> {
  const endings = await Promise.allSettled(places.map(dropTreeLeftOvers));
  for (const ending of endings) if (ending.status === 'rejected') throw ending.reason;
}
