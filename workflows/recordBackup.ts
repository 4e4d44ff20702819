import type { BackupResult, SealedBackup } from '../core/backup/run.ts';
import { recordPatiently } from './support/steps.ts';

export interface RecordBackupInput {
  readonly result: BackupResult;
  readonly sealed: SealedBackup | undefined;
}

/** Notes a finished backup in a catalog that could not be reached when it ended, as soon as it can be. */
export async function recordBackup({ result, sealed }: RecordBackupInput): Promise<void> {
  await recordPatiently(result, sealed);
}
