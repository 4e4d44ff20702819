import { messageOf } from '../../core/errors.ts';
import { chooseBackup } from '../../core/restore/choose/chooseBackup.ts';
import type { RestoredTreeResult } from '../../core/restore/flow.ts';
import type { ChosenBackup } from '../../core/restore/run.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import { withDatabase, type RecoveredDatabase } from './database.ts';
import { withLocks } from './locks.ts';
import type { RecoveryMeans } from './means.ts';
import { planRecovery, refusalOf, type PreparedRecovery, type RecoveryPlan } from './plan.ts';
import { notTheNewest } from '../../core/restore/plan/planRows.ts';
import { dropStaged, placeTrees, stageTree, type StagedTree } from './trees.ts';
import { backupWish, treePlaces, type RecoveryWish } from './wish.ts';

/** Which backup it was, or would be. */
export interface RecoveredBackup {
  readonly backup: string;
  readonly source: string;
  readonly sealedAt: string;
  /** Where the newest was asked for: what speaks for a newer one than `backup`, in words. */
  readonly newer: readonly string[];
}

export interface PlannedRecovery extends RecoveredBackup {
  readonly plan: RecoveryPlan;
}

export interface Recovery extends RecoveredBackup {
  readonly database?: RecoveredDatabase;
  readonly trees: readonly RestoredTreeResult[];
}

/** Says what `recover` would do, and what stands in its way. Changes nothing. */
export async function lookAtRecovery(wish: RecoveryWish, means: RecoveryMeans): Promise<PlannedRecovery> {
  const { chosen, places } = await choose(wish, means);
  const { plan } = await planRecovery(wish, chosen, places, means);
  return { ...aboutBackup(chosen), plan };
}

/**
 * Restores a backup from the storages and the keys, in this process. Everything that can be refused is refused before
 * anything is made; what is interrupted, or fails before it is whole, leaves nothing behind.
 */
export async function recover(wish: RecoveryWish, means: RecoveryMeans): Promise<Recovery> {
  const { chosen, places } = await choose(wish, means);
  return withLocks(wish.database, places, means, async (alone) => {
    // Of a try that was killed; this one begins anew.
    await dropStaged(places);
    const prepared = await planRecovery(wish, chosen, places, alone);
    for (const { severity, message } of prepared.plan.findings) if (severity === 'warning') means.warn(message);
    const refusal = refusalOf(prepared.plan);
    if (refusal) throw refusal;
    return perform(prepared, alone);
  });
}

async function choose(
  wish: RecoveryWish,
  { copies, checkingKeys, signal, warn, passOver }: RecoveryMeans,
): Promise<{ chosen: ChosenBackup; places: TreePlace[] }> {
  const chosen = await chooseBackup({ wish: backupWish(wish), copies, checkingKeys, signal });
  for (const line of notTheNewest(chosen.manifest.id, chosen.newer)) warn(line);
  passOver(chosen.passedOver);
  return { chosen, places: wish.trees ? treePlaces(wish.trees, chosen.manifest) : [] };
}

function aboutBackup({ manifest: { id, source, sealedAt }, newer }: ChosenBackup): RecoveredBackup {
  return { backup: id, source, sealedAt, newer };
}

/** The trees first, beside their places: what is put there at the end is known to be good. */
async function perform(
  { chosen, database, places, outsideLinks }: PreparedRecovery,
  means: RecoveryMeans,
): Promise<Recovery> {
  try {
    const staged: StagedTree[] = [];
    for (const place of places) staged.push(await stageTree(place, outsideLinks, chosen, means));
    if (!database) return { ...aboutBackup(chosen), trees: await placeTrees(staged, means.signal) };
    const done = await withDatabase(database, chosen, means, (release) => placeTrees(staged, means.signal, release));
    return { ...aboutBackup(chosen), database: done.database, trees: done.result };
  } finally {
    await dropStaged(places).catch((error: unknown) => means.warn(messageOf(error)));
  }
}
