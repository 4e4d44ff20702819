import { z } from 'zod';
import { BACKUP_KINDS, TIERS, type BackupKind, type Tier } from '../config/words.ts';
import type { ErrorType } from '../errors.ts';
import type { LockHolder } from '../lockHolder.ts';
import type { Manifest, ManifestPart } from '../repository/manifest.ts';

/**
 * What a backup run is told, what its steps hand each other, and what it answers. All of it passes through the
 * workflow's history: names and numbers only, no secret, small.
 */

const configuredName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected a name from holdfast.yaml');

export const WHEN_BUSY = ['wait', 'refuse'] as const;
export type WhenBusy = (typeof WHEN_BUSY)[number];

/** Input of the workflow `backup`. Only the source is needed. */
export const backupInput = z.strictObject({
  source: configuredName,
  /** Unset: the source's only plan, or its only plan of the given kind. */
  plan: configuredName.optional(),
  /** Unset: the plan's. */
  kind: z.enum(BACKUP_KINDS).optional(),
  /** Unset: `manual`. Schedules say theirs. */
  tier: z.enum(TIERS).optional(),
  /** Unset: the plan's. */
  backends: z.array(configuredName).min(1).optional(),
  /** Accept a database that shrank by more than the plan's floor allows; still refused: an empty one. */
  acceptShrink: z.boolean().optional(),
  /** While another run works on the source: `wait` for its end, or `refuse` with `SourceBusy`. Unset: `wait`. */
  whenBusy: z.enum(WHEN_BUSY).optional(),
});

export type BackupInput = z.infer<typeof backupInput>;

export const BACKUP_INPUT_EXAMPLE = '{"source": "shop", "plan": "shop-daily"}';

/** What `preflight` found to be the job. */
export interface BackupAssignment {
  readonly source: string;
  readonly plan: string;
  readonly kind: BackupKind;
  readonly tier: Tier;
  readonly backends: readonly string[];
  /** Proven copies that make the backup usable. */
  readonly requiredCopies: number;
  /** False where no key at hand can open what this plan seals: the copies can be proven `stored` only. */
  readonly canOpen: boolean;
  /** Task queue of the host that holds the spool. */
  readonly spoolQueue: string;
  /** Name of that host, for people. */
  readonly host: string;
  /** Milliseconds. When nobody serves the spool's queue for so long, its host is taken for gone. */
  readonly takeoverAfter: number;
  readonly warnings: readonly string[];
  readonly acceptShrink: boolean;
  /** Names of the environment variables the application needs. */
  readonly environment: readonly string[];
  /** From the last verified backup of this source and kind, where there is one. */
  readonly previous?: PreviousBackup;
}

export interface PreviousBackup {
  readonly id: string;
  readonly storedBytes: number;
  /** Of its database, where it holds one. */
  readonly database?: {
    readonly name: string;
    readonly systemIdentifier?: string | undefined;
    /** Uncompressed bytes of `database` and all `rows-N` together. */
    readonly dumpBytes: number;
  };
  /** From the start of the run to its end, in milliseconds. */
  readonly duration?: number;
}

/** What every step after `preflight` is told. */
export interface BackupStep {
  readonly id: string;
  readonly startedAt: string;
  readonly assignment: BackupAssignment;
}

export interface CopyStep extends BackupStep {
  readonly backend: string;
}

export interface SealedBackup {
  /** Name of the attempt in the spool that holds it; a copy is of this backup only if it was made of this attempt. */
  readonly attempt: string;
  readonly sealedAt: string;
  readonly database?: NonNullable<Manifest['database']>;
  readonly parts: readonly ManifestPart[];
  readonly warnings: readonly string[];
}

export interface SealedCopyStep extends CopyStep {
  readonly sealed: SealedBackup;
}

export interface StepTime {
  /** Milliseconds. */
  readonly duration: number;
}

export interface StepProblem {
  readonly type: ErrorType;
  readonly message: string;
  readonly advice?: string;
}

/** `verified`: stored and published. `stored`: proven and not published. */
export type CopyState = 'waiting' | 'uploading' | 'verifying' | 'stored' | 'verified' | 'failed';

export interface CopyResult {
  readonly backend: string;
  readonly state: CopyState;
  readonly bytes: number;
  /** Milliseconds. */
  readonly uploadDuration?: number;
  readonly verifyDuration?: number;
  /** True for the copy whose parts were opened, not only hashed. */
  readonly opened?: boolean;
  readonly problem?: StepProblem;
}

/** `verified`: every backend has a proven copy. `degraded`: usable, something is missing. `failed`: do not count on it. */
export type BackupState = 'verified' | 'degraded' | 'failed';

/** What a finished run answers; also the detail of a failed run's error. */
export interface BackupResult {
  readonly id: string;
  readonly source: string;
  readonly plan: string;
  readonly kind: BackupKind;
  readonly tier: Tier;
  readonly state: BackupState;
  /** Why it is not verified. */
  readonly reasons: readonly string[];
  /** What made it fail, where one thing did. */
  readonly problem?: StepProblem;
  readonly startedAt: string;
  /** Milliseconds from start to end. */
  readonly duration: number;
  readonly parts: readonly ManifestPart[];
  readonly copies: readonly CopyResult[];
  readonly requiredCopies: number;
  readonly warnings: readonly string[];
  /** `pending`: published, and the catalog will hear of it as soon as it can be reached. */
  readonly catalog: 'recorded' | 'pending';
  /** Workflow id of the heal that goes on with the copies that are missing. */
  readonly heal?: string;
}

/** What the catalog is told of a run. */
export interface RecordedRun {
  readonly result: BackupResult;
  /** Missing where the run failed before or in the preflight. */
  readonly step?: BackupStep;
  /** Missing where the dump failed. */
  readonly sealed?: SealedBackup;
  /** The run that made the backup, whoever records it. */
  readonly workflowId: string;
  readonly runId: string;
}

export type BackupPhase = 'waiting' | 'preflight' | 'dump' | 'upload' | 'verify' | 'publish' | 'record' | 'done';

/** Answer of the query `progress`. */
export interface BackupProgress {
  readonly id: string;
  readonly source: string;
  readonly phase: BackupPhase;
  /** In the phase `waiting`: who works on the source. */
  readonly waitingFor?: LockHolder;
  /** Set once the preflight is done. */
  readonly plan?: string;
  /** Uncompressed bytes read from the source, by part. */
  readonly parts: readonly PartProgress[];
  readonly copies: readonly CopyProgress[];
  /** Milliseconds. */
  readonly elapsed: number;
  /** Uncompressed bytes read a second, on average since the dump began. */
  readonly rate?: number;
  /** Milliseconds, from how long the last run took. */
  readonly timeLeft?: number;
  readonly warnings: readonly string[];
}

export interface PartProgress {
  readonly part: string;
  readonly originalBytes: number;
  readonly storedBytes: number;
  readonly done: boolean;
}

export interface CopyProgress {
  readonly backend: string;
  readonly state: CopyState;
  readonly uploadedBytes: number;
  readonly verifiedBytes: number;
  /** Bytes a second that an operator allowed this run, or null for no limit. Missing: what the configuration says. */
  readonly bandwidth?: number | null;
  readonly problem?: string;
}

/** Payload of the signal by which running activities tell the workflow how far they are. */
export interface ProgressReport {
  readonly parts?: readonly PartProgress[];
  readonly uploaded?: Readonly<Record<string, number>>;
  readonly verified?: Readonly<Record<string, number>>;
  readonly restored?: RestoringProgress;
}

/** How far a restore is with what it is at. */
export interface RestoringProgress {
  /** E.g. `rows`, or the name of a tree. */
  readonly phase: string;
  /** The copy that is being read. */
  readonly backend: string;
  /** Uncompressed bytes read, and how many there are. */
  readonly bytes: number;
  readonly totalBytes: number;
}
