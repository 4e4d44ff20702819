import type { BackupKind, Tier } from '../config/words.ts';
import type { ErrorType } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';

export type BackupState = 'verified' | 'degraded' | 'failed';
export type CopyState = 'stored' | 'verified' | 'damaged' | 'missing' | 'failed';
/** `listed`: by its listing alone; only ever noted of a copy that is missing or damaged. */
export type VerificationDepth = 'listed' | 'stored' | 'opened' | 'restored';
/** `failed`: the look could not be finished, or a drill failed; the copy's bytes are not what was found wanting. */
export type VerificationOutcome = 'passed' | 'damaged' | 'missing' | 'failed';

/** What went wrong, in words that may be stored: no secret in it. */
export interface Problem {
  readonly type: ErrorType;
  readonly message: string;
}

/**
 * One run of a backup as the catalog knows it, whether it stored something or not. Times are ISO 8601 in UTC, sizes
 * bytes, durations milliseconds: plain JSON, as it crosses process borders.
 */
export interface BackupRecord {
  readonly id: string;
  readonly source: string;
  readonly kind: BackupKind;
  readonly tier: Tier;
  readonly plan?: string | undefined;
  readonly state: BackupState;
  /** How many proven copies make it usable. */
  readonly requiredCopies: number;
  /** Why it failed or is degraded. */
  readonly problem?: Problem | undefined;
  readonly startedAt: string;
  readonly endedAt: string;
  /** There unless the run failed before everything was sealed. */
  readonly manifest?: Manifest | undefined;
  /** Of the manifest object's bytes. */
  readonly manifestSha256?: string | undefined;
  readonly workflowId?: string | undefined;
  readonly runId?: string | undefined;
  readonly copies: readonly CopyRecord[];
}

export interface CopyRecord {
  readonly backend: string;
  readonly state: CopyState;
  readonly problem?: Problem | undefined;
  readonly bytes?: number | undefined;
  readonly uploadedAt?: string | undefined;
  readonly uploadMs?: number | undefined;
  readonly verifiedAt?: string | undefined;
  readonly verifyMs?: number | undefined;
  /** Since when a heal is at it, or waits until it can be. */
  readonly healingSince?: string | undefined;
}

/** One look at one copy. */
export interface VerificationRecord {
  readonly backupId: string;
  readonly backend: string;
  readonly depth: VerificationDepth;
  readonly outcome: VerificationOutcome;
  readonly at: string;
  readonly durationMs: number;
  readonly message?: string | undefined;
}

/** A backup as it is read back, with its sizes summed up. */
export interface CatalogedBackup extends BackupRecord {
  readonly originalBytes?: number | undefined;
  readonly compressedBytes?: number | undefined;
  readonly storedBytes?: number | undefined;
  /** ISO 8601: when one of its copies was last recovered from, whole and as it was backed up. */
  readonly restoredAt?: string | undefined;
}
