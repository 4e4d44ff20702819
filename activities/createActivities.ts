import type { BackupSteps } from './backupSteps.ts';
import type { Dependencies } from './dependencies.ts';
import { dumpStep } from './dump.ts';
import { findSourcesStep, findWoundsStep, healCopyStep, noteHealingStep } from './heal.ts';
import type { HealSteps } from './healSteps.ts';
import { openStep, verifyChecksumStep } from './verify.ts';
import { discardCopyStep } from './discardCopy.ts';
import { preflightStep } from './preflight.ts';
import { publishStep } from './publish.ts';
import { recordStep } from './record.ts';
import { removeSpoolStep } from './removeSpool.ts';
import { asActivity } from './support/step.ts';
import { uploadStep } from './upload.ts';
import { findCopiesStep, recordVerdictsStep, verifyCopyStep } from './verification.ts';
import type { VerifySteps } from './verifySteps.ts';

/** Every activity a worker offers, over the dependencies it was built with. */
export function createActivities(dependencies: Dependencies): BackupSteps & VerifySteps & HealSteps {
  return {
    preflight: asActivity(preflightStep(dependencies)),
    dump: asActivity(dumpStep(dependencies)),
    upload: asActivity(uploadStep(dependencies)),
    verifyChecksum: asActivity(verifyChecksumStep(dependencies)),
    open: asActivity(openStep(dependencies)),
    publish: asActivity(publishStep(dependencies)),
    record: asActivity(recordStep(dependencies)),
    discardCopy: asActivity(discardCopyStep(dependencies)),
    removeSpool: asActivity(removeSpoolStep(dependencies)),
    findCopies: asActivity(findCopiesStep(dependencies)),
    verifyCopy: asActivity(verifyCopyStep(dependencies)),
    recordVerdicts: asActivity(recordVerdictsStep(dependencies)),
    findWounds: asActivity(findWoundsStep(dependencies)),
    healCopy: asActivity(healCopyStep(dependencies)),
    noteHealing: asActivity(noteHealingStep(dependencies)),
    findSources: asActivity(findSourcesStep(dependencies)),
  };
}
