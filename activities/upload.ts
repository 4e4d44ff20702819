import { locationOf } from '../core/backup/describeBackup.ts';
import type { CopyStep } from '../core/backup/run.ts';
import { uploadCopy } from '../core/backup/uploadCopy.ts';
import { backupPrefix } from '../core/repository/layout.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

/** Segments in flight to a directory: more would only make the disk seek. */
const LOCAL_CONCURRENCY = 2;

export const uploadStep = (dependencies: Dependencies) => async (context: StepContext, step: CopyStep) => {
  const { configuration, backends, spool, progress } = dependencies;
  const settings = configuration.backends[step.backend];
  return uploadCopy({
    backend: await backends.get(step.backend),
    spool,
    backup: step.id,
    prefix: backupPrefix(locationOf(step)),
    concurrency: settings?.type === 's3' ? settings.concurrency : LOCAL_CONCURRENCY,
    signal: context.signal,
    onProgress: (bytes) => {
      context.checkpoint({ bytes });
      progress.uploaded(context, step.backend, bytes);
    },
  });
};
