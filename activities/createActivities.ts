import type { BackupSteps } from './backupSteps.ts';
import type { Dependencies } from './dependencies.ts';
import { dumpStep } from './dump.ts';
import { findSourcesStep, findWoundsStep, healCopyStep, noteHealingStep, startHealStep } from './heal.ts';
import type { HealSteps } from './healSteps.ts';
import { openStep, verifyChecksumStep } from './verify.ts';
import { discardCopyStep } from './discardCopy.ts';
import type { LockSteps } from './lockSteps.ts';
import { preflightStep } from './preflight.ts';
import { publishStep } from './publish.ts';
import { recordStep } from './record.ts';
import { removeSpoolStep } from './removeSpool.ts';
import { findLockStep, waitForLockStep } from './sourceLock.ts';
import { asActivity, type StepContext, type StepOptions } from './support/step.ts';
import { uploadStep } from './upload.ts';
import { findCopiesStep, recordVerdictsStep, verifyCopyStep } from './verification.ts';
import type { VerifySteps } from './verifySteps.ts';

/** Reading a whole copy back. */
const READ_BACK = { most: 4, firstPause: 2_000, longestPause: 60_000 } as const;
const SHORT = { most: 3, firstPause: 1_000, longestPause: 10_000 } as const;

/** Every activity a worker offers, over the dependencies it was built with. */
export function createActivities(dependencies: Dependencies): BackupSteps & HealSteps & LockSteps & VerifySteps {
  const { stopping } = dependencies;
  const long = { stopping, handOver: 'atOnce' } as const;
  const activity = <Arguments extends unknown[], Result>(
    step: (context: StepContext, ...args: Arguments) => Promise<Result>,
    options: Omit<StepOptions, 'stopping'> = {},
  ) => asActivity(step, { ...options, stopping });
  return {
    // A restarting database is back in seconds; one that is down should be told of soon.
    preflight: activity(preflightStep(dependencies), { tries: { most: 4, firstPause: 1_000, longestPause: 10_000 } }),
    dump: activity(dumpStep(dependencies), {
      ...long,
      tries: { most: 3, firstPause: 5_000, longestPause: 120_000 },
    }),
    upload: activity(uploadStep(dependencies), {
      ...long,
      tries: { most: 5, firstPause: 2_000, longestPause: 60_000 },
    }),
    verifyChecksum: activity(verifyChecksumStep(dependencies), { ...long, tries: READ_BACK }),
    open: activity(openStep(dependencies), { ...long, tries: READ_BACK }),
    publish: activity(publishStep(dependencies), { tries: { most: 6, firstPause: 1_000, longestPause: 30_000 } }),
    record: activity(recordStep(dependencies)),
    discardCopy: activity(discardCopyStep(dependencies), { tries: SHORT }),
    removeSpool: activity(removeSpoolStep(dependencies)),
    findLock: activity(findLockStep(dependencies)),
    waitForLock: activity(waitForLockStep(dependencies), long),
    findCopies: activity(findCopiesStep(dependencies), { tries: SHORT }),
    verifyCopy: activity(verifyCopyStep(dependencies), { ...long, tries: READ_BACK }),
    recordVerdicts: activity(recordVerdictsStep(dependencies), { tries: SHORT }),
    findWounds: activity(findWoundsStep(dependencies), { ...long, tries: SHORT }),
    // A backend that fails for longer is waited for by the workflow, and the other copies go first.
    healCopy: activity(healCopyStep(dependencies), { ...long, tries: SHORT }),
    noteHealing: activity(noteHealingStep(dependencies), { tries: SHORT }),
    startHeal: activity(startHealStep(dependencies), { tries: SHORT }),
    findSources: activity(findSourcesStep(dependencies), { tries: SHORT }),
  };
}
