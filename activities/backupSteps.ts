import type {
  BackupAssignment,
  BackupInput,
  BackupStep,
  CopyStep,
  RecordedRun,
  SealedBackup,
  SealedCopyStep,
  StepTime,
} from '../core/backup/run.ts';
import type { UploadedCopy } from '../core/backup/uploadCopy.ts';

/** The steps of a backup, by the names under which Temporal knows them. */
export interface BackupSteps {
  /** Reads the configuration and looks at the source: what is the job, and can it succeed? Changes nothing. */
  preflight(input: BackupInput): Promise<BackupAssignment>;
  /** Reads the source once into the spool: dump, compress and encrypt are one stream. Runs on the spool's host. */
  dump(step: BackupStep): Promise<SealedBackup>;
  /** Sends the spool's objects to one backend while the dump still writes them. Runs on the spool's host. */
  upload(step: CopyStep): Promise<UploadedCopy>;
  /** Reads one copy back and compares every byte with what was sealed: depth `stored`. */
  verifyChecksum(step: SealedCopyStep): Promise<StepTime>;
  /** The same, and decrypts, decompresses and reads through every part in the same pass: depth `opened`. */
  open(step: SealedCopyStep): Promise<StepTime>;
  /** Writes the signed manifest of one copy: from here on the copy exists. */
  publish(step: SealedCopyStep): Promise<void>;
  /** Notes the run and its copies in the catalog. */
  record(run: RecordedRun): Promise<void>;
  /** Takes back what an unpublished copy left on its backend. */
  discardCopy(step: CopyStep): Promise<void>;
  /** Removes the backup's ciphertext from the spool. Runs on the spool's host. */
  removeSpool(step: BackupStep): Promise<void>;
}
