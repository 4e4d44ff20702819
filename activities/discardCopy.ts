import { locationOf } from '../core/backup/describeBackup.ts';
import { discardCopy } from '../core/backup/discardCopy.ts';
import type { CopyStep } from '../core/backup/run.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const discardCopyStep = (dependencies: Dependencies) => async (context: StepContext, step: CopyStep) => {
  const backend = await dependencies.backends.get(step.backend);
  const discarded = await discardCopy(backend, locationOf(step), context.signal);
  dependencies.log.info({ backup: step.id, backend: step.backend, ...discarded }, 'an unpublished copy was taken back');
};
