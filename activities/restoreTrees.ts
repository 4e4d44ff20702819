import { findTar } from '../core/files/tarProgram.ts';
import { compareTree } from '../core/restore/trees/compareTree.ts';
import type { TreeStep } from '../core/restore/flow.ts';
import { openBackup } from '../core/restore/choose/openBackup.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../core/restore/trees/placeTree.ts';
import { restoreTree } from '../core/restore/trees/restoreTree.ts';
import { findTreeLeftOvers } from '../core/restore/trees/stagingDirectory.ts';
import { scopeOf } from '../core/restore/database/targetMark.ts';
import type { RestoredTree, TreeBackup, TreeComparison, TreeProgress } from '../core/restore/trees/trees.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

/** What of a tree's differences goes through a history. */
const DIFFERENCES_TOLD = 50;

export const restoreTreeStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: TreeStep): Promise<RestoredTree> => {
    await dropDead(dependencies, step);
    const restored = await restoreTree({ ...(await extentOf(dependencies, context, step)), place: step.place });
    const { tree, backend, totals, duration, passedOver } = restored;
    dependencies.log.info(
      { source: step.source, backup: step.backup.id, tree, backend, totals, duration, passedOver },
      'a tree was unpacked',
    );
    return restored;
  };

export const compareTreeStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: TreeStep, directory: string): Promise<TreeComparison> => {
    const { tree, paths } = step.place;
    const compared = await compareTree({ ...(await extentOf(dependencies, context, step)), tree, directory, paths });
    return { ...compared, differences: compared.differences.slice(0, DIFFERENCES_TOLD) };
  };

export const placeTreeStep = () => (_context: StepContext, step: TreeStep) => placeTree(step.place);

export const takeBackTreeStep = () => (_context: StepContext, step: TreeStep) => takeBackTree(step.place);

export const dropTreeStep =
  ({ progress }: Dependencies) =>
  async (context: StepContext, step: TreeStep): Promise<void> => {
    progress.close(context);
    await dropTreeLeftOvers(step.place);
  };

/** Restores of one source exclude each other: what another one left there is dead. */
async function dropDead({ log }: Dependencies, { place }: TreeStep): Promise<void> {
  for (const { directory, place: left } of await findTreeLeftOvers(place.path)) {
    if (left.mark === place.mark || scopeOf(left.mark) !== scopeOf(place.mark)) continue;
    log.warn({ directory }, 'dropping what a dead restore left');
    await dropTreeLeftOvers(left);
  }
}

async function extentOf(dependencies: Dependencies, context: StepContext, step: TreeStep) {
  const { manifest, copies } = await openBackup(dependencies, step, context.signal);
  const backup: TreeBackup = { manifest, copies, openingKeys: await dependencies.keys.opening() };
  return {
    ...backup,
    tar: await findTar(),
    outsideLinks: step.outsideLinks,
    signal: context.signal,
    onProgress: ({ tree, ...rest }: TreeProgress) => {
      const restoring = { phase: tree, ...rest };
      context.checkpoint(restoring);
      dependencies.progress.restored(context, restoring);
    },
  };
}
