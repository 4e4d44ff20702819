import type { BackupStep } from '../core/backup/run.ts';
import { removeFromSpool } from '../core/spool/spool.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const removeSpoolStep = (dependencies: Dependencies) => async (context: StepContext, step: BackupStep) => {
  await removeFromSpool(dependencies.spool, step.id);
  dependencies.progress.close(context);
};
