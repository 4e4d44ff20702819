import { locationOf } from '../core/backup/describeBackup.ts';
import type { CopyStep } from '../core/backup/run.ts';
import { uploadCopy } from '../core/backup/uploadCopy.ts';
import { messageOf } from '../core/errors.ts';
import { backupPrefix } from '../core/repository/layout.ts';
import { noteLeaving } from '../core/spool/leaving.ts';
import type { Dependencies } from './dependencies.ts';
import { followBandwidth } from './support/followBandwidth.ts';
import type { StepContext } from './support/step.ts';

/** Segments in flight to a directory: more would only make the disk seek. */
const LOCAL_CONCURRENCY = 2;

export const uploadStep = (dependencies: Dependencies) => async (context: StepContext, step: CopyStep) => {
  const { configuration, backends, spool, progress, log } = dependencies;
  const settings = configuration.backends[step.backend];
  const backend = await backends.get(step.backend);
  const unfollow = followBandwidth(context, backend, log);
  try {
    return await uploadCopy({
      backend,
      spool,
      backup: step.id,
      prefix: backupPrefix(locationOf(step)),
      concurrency: settings?.type === 's3' ? settings.concurrency : LOCAL_CONCURRENCY,
      signal: context.signal,
      onProgress: (bytes) => {
        context.checkpoint({ bytes });
        progress.uploaded(context, step.backend, bytes);
      },
      onSent: () => context.gotOn(),
    });
  } finally {
    unfollow();
  }
};

/** Tells the dump not to wait for this backend any more. */
export async function leaveUpload({ spool, log }: Dependencies, { id, backend }: CopyStep): Promise<void> {
  try {
    await noteLeaving(spool, id, backend, { reason: 'ended' });
  } catch (error) {
    // Why the upload failed is what counts; the dump finds out by waiting.
    log.warn({ backup: id, backend, error: messageOf(error) }, 'the end of an upload was not noted');
  }
}
