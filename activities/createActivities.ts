import type { BackupStep } from '../core/backup/run.ts';
import type { BackupSteps } from './backupSteps.ts';
import type { Dependencies } from './dependencies.ts';
import * as drill from './drill.ts';
import type { DrillSteps } from './drillSteps.ts';
import { dumpStep } from './dump.ts';
import { findSourcesStep, findWoundsStep, healCopyStep, noteHealingStep, startHealStep } from './heal.ts';
import type { HealSteps } from './healSteps.ts';
import { openStep, verifyChecksumStep } from './verify.ts';
import { discardCopyStep } from './discardCopy.ts';
import type { LockSteps } from './lockSteps.ts';
import { preflightStep } from './preflight.ts';
import { publishStep } from './publish.ts';
import * as restore from './restore.ts';
import type { RestoreSteps, RestoreTreeSteps } from './restoreSteps.ts';
import * as restoreTrees from './restoreTrees.ts';
import { recordStep } from './record.ts';
import { removeSpoolStep } from './removeSpool.ts';
import { findLockStep, waitForLockStep } from './sourceLock.ts';
import { assignSweepStep, sweepBackendStep, sweepSpoolStep } from './sweep.ts';
import type { SweepSteps } from './sweepSteps.ts';
import { asActivity, type StepContext, type StepOptions } from './support/step.ts';
import { leaveUpload, uploadStep } from './upload.ts';
import { findCopiesStep, recordVerdictsStep, verifyCopyStep } from './verification.ts';
import type { VerifySteps } from './verifySteps.ts';

const SHORT = () => ({ most: 3, firstPause: 1_000, longestPause: 10_000 });
/** Somebody waits for the answer. */
const READ_BACK = () => ({ most: 4, firstPause: 2_000, longestPause: 60_000 });
/** A server that was restarted is back in seconds; between two databases nothing may stay as it is. */
const STUBBORN = () => ({ patience: 10 * 60_000, firstPause: 1_000, longestPause: 15_000 });

/** Every activity a worker offers, over the dependencies it was built with. */
export function createActivities(
  dependencies: Dependencies,
): BackupSteps & DrillSteps & HealSteps & LockSteps & RestoreSteps & RestoreTreeSteps & SweepSteps & VerifySteps {
  const { stopping } = dependencies;
  const long = { handOver: 'atOnce' } as const;
  // A copy that is nearly there is worth waiting for its storage, as long as the plan says.
  const patient = ({ assignment }: BackupStep) => ({
    patience: dependencies.configuration.plans[assignment.plan]?.uploads.retryFor ?? 0,
    firstPause: 2_000,
    longestPause: 5 * 60_000,
  });
  const activity = <Arguments extends unknown[], Result>(
    step: (context: StepContext, ...args: Arguments) => Promise<Result>,
    options: Omit<StepOptions<Arguments>, 'stopping'> = {},
  ) => asActivity(step, { ...options, stopping });
  return {
    // A restarting database is back in seconds; one that is down should be told of soon.
    preflight: activity(preflightStep(dependencies), {
      tries: () => ({ most: 4, firstPause: 1_000, longestPause: 10_000 }),
    }),
    dump: activity(dumpStep(dependencies), {
      ...long,
      tries: () => ({ most: 3, firstPause: 5_000, longestPause: 120_000 }),
    }),
    upload: activity(uploadStep(dependencies), {
      ...long,
      tries: patient,
      onGivenUp: (step) => leaveUpload(dependencies, step),
    }),
    verifyChecksum: activity(verifyChecksumStep(dependencies), { ...long, tries: patient }),
    open: activity(openStep(dependencies), { ...long, tries: patient }),
    publish: activity(publishStep(dependencies), { tries: patient }),
    record: activity(recordStep(dependencies)),
    discardCopy: activity(discardCopyStep(dependencies), { tries: SHORT }),
    removeSpool: activity(removeSpoolStep(dependencies)),
    findLock: activity(findLockStep(dependencies)),
    waitForLock: activity(waitForLockStep(dependencies), long),
    findCopies: activity(findCopiesStep(dependencies), { tries: SHORT }),
    verifyCopy: activity(verifyCopyStep(dependencies), { ...long, tries: READ_BACK }),
    recordVerdicts: activity(recordVerdictsStep(dependencies), { tries: SHORT }),
    assignSweep: activity(assignSweepStep(dependencies), { tries: SHORT }),
    sweepBackend: activity(sweepBackendStep(dependencies), { ...long, tries: SHORT }),
    sweepSpool: activity(sweepSpoolStep(dependencies), { ...long, tries: SHORT }),
    findWounds: activity(findWoundsStep(dependencies), { ...long, tries: SHORT }),
    // A backend that fails for longer is waited for by the workflow, and the other copies go first.
    healCopy: activity(healCopyStep(dependencies), { ...long, tries: SHORT }),
    noteHealing: activity(noteHealingStep(dependencies), { tries: SHORT }),
    startHeal: activity(startHealStep(dependencies), { tries: SHORT }),
    chooseDrill: activity(drill.chooseDrillStep(dependencies), { tries: SHORT }),
    clearDrillDatabase: activity(drill.removeDrillDatabaseStep(dependencies), { tries: READ_BACK }),
    drillDatabase: activity(drill.drillDatabaseStep(dependencies), { ...long, tries: READ_BACK }),
    drillTree: activity(drill.drillTreeStep(dependencies), { ...long, tries: READ_BACK }),
    removeDrillDatabase: activity(drill.removeDrillDatabaseStep(dependencies), { tries: STUBBORN }),
    removeDrillTrees: activity(drill.removeDrillTreesStep(dependencies), { tries: STUBBORN }),
    findDrillRemnants: activity(drill.findDrillRemnantsStep(dependencies), { tries: SHORT }),
    recordDrill: activity(drill.recordDrillStep(dependencies)),
    findSources: activity(findSourcesStep(dependencies), { tries: SHORT }),
    planRestore: activity(restore.planRestoreStep(dependencies), { tries: SHORT }),
    createRoles: activity(restore.createRolesStep(dependencies), { tries: SHORT }),
    restoreDatabase: activity(restore.restoreDatabaseStep(dependencies), { ...long, tries: READ_BACK }),
    reconcileDatabase: activity(restore.reconcileDatabaseStep(dependencies), { ...long, tries: READ_BACK }),
    checkDatabase: activity(restore.checkDatabaseStep(dependencies), { ...long, tries: STUBBORN }),
    releaseDatabase: activity(restore.releaseDatabaseStep(dependencies), { tries: STUBBORN }),
    swapDatabases: activity(restore.swapDatabasesStep(dependencies), { tries: STUBBORN }),
    undoSwap: activity(restore.undoSwapStep(dependencies), { tries: STUBBORN }),
    dropUnfinished: activity(restore.dropUnfinishedStep(dependencies), { tries: STUBBORN }),
    findRestoreRemnants: activity(restore.findRestoreRemnantsStep(dependencies), { tries: SHORT }),
    removeRestoreRemnants: activity(restore.removeRestoreRemnantsStep(dependencies), { tries: SHORT }),
    dropDead: activity(restore.dropDeadStep(dependencies), { tries: SHORT }),
    restoreTree: activity(restoreTrees.restoreTreeStep(dependencies), { ...long, tries: READ_BACK }),
    compareTree: activity(restoreTrees.compareTreeStep(dependencies), { ...long, tries: READ_BACK }),
    placeTree: activity(restoreTrees.placeTreeStep(), { tries: SHORT }),
    takeBackTree: activity(restoreTrees.takeBackTreeStep(), { tries: SHORT }),
    dropTree: activity(restoreTrees.dropTreeStep(dependencies), { tries: SHORT }),
    recordRestore: activity(restore.recordRestoreStep(dependencies)),
  };
}
