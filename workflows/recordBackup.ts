import type { RecordedRun } from '../core/backup/run.ts';
import { recordPatiently } from './support/steps.ts';

/** Notes a finished backup in a catalog that could not be reached when it ended, as soon as it can be. */
export async function recordBackup(run: RecordedRun): Promise<void> {
  await recordPatiently(run);
}
