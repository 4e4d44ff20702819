import { z } from 'zod';
import type { StepProblem } from '../backup/run.ts';
import type { RestoreOutcome, RestoreRecord } from '../catalog/restores.ts';
import type { BackupKind } from '../config/words.ts';
import type { LockHolder } from '../lockHolder.ts';
import type { BackupLocation } from '../repository/layout.ts';
import type { RestoreScope } from '../restore/run.ts';
import type { CheckOutcome } from '../restore/reconcile/sqlChecks.ts';

/** What a drill is told, what its steps hand each other, and what it answers. */

/** Input of the workflow `drill`. Only the source is needed. */
export const drillInput = z.strictObject({
  /** Name of the source. */
  source: z.string().min(1),
  /** `random`, `latest`, an id, or the beginning of one. Unset: random. */
  backup: z.string().min(1).optional(),
  /** The storage whose copy is tried out. Unset: a random one of those that hold a copy. */
  backend: z.string().min(1).optional(),
  /** False: only the database. */
  files: z.boolean().optional(),
  /** Everything belongs to the role that restores: for a server that does not have the source's roles. */
  noOwner: z.boolean().optional(),
  /** No privilege is granted or revoked. */
  noPrivileges: z.boolean().optional(),
  /** Decides what random means: the same number draws the same of the same backups. */
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .optional(),
  /** False: a copy that turns out missing or damaged is reported, and left as it is. */
  heal: z.boolean().optional(),
  /** When another drill of the source runs: `wait` (default) or `refuse`. */
  whenBusy: z.enum(['wait', 'refuse']).optional(),
});

export const DRILL_INPUT_EXAMPLE = '{"source": "shop", "backup": "latest"}';

export type DrillInput = z.infer<typeof drillInput>;

/** A copy, and where it is tried out. */
export interface DrillAssignment {
  readonly location: BackupLocation;
  readonly kind: BackupKind;
  /** ISO 8601, of the backup. */
  readonly startedAt: string;
  /** Of the manifest object: what was chosen is what is restored. */
  readonly manifestSha256: string;
  readonly backend: string;
  readonly database: boolean;
  readonly trees: readonly string[];
  /** Something of the backup is left out on request: nothing is said of the copy as a whole then. */
  readonly partial: boolean;
  /** Uncompressed bytes of all that is restored. */
  readonly bytes: number;
  /** How long it usually takes, in milliseconds, where there were restores or drills before. */
  readonly usual?: number;
  /** The source's last drills, newest first. */
  readonly past: readonly PastDrill[];
  /** Task queue of the host whose disk takes the trees. */
  readonly hostQueue: string;
  /** Milliseconds without a worker there after which its host is taken for gone. */
  readonly takeoverAfter: number;
  readonly warnings: readonly string[];
}

/** An earlier drill, in short. */
export interface PastDrill {
  /** ISO 8601. */
  readonly at: string;
  readonly outcome: RestoreOutcome;
  readonly backup?: string;
  readonly backend?: string;
  /** Milliseconds. */
  readonly recovery?: number;
  readonly bytes?: number;
}

export interface DrillStep extends Pick<RestoreScope, 'noOwner' | 'noPrivileges'> {
  readonly assignment: DrillAssignment;
}

export interface DrillTreeStep extends DrillStep {
  readonly tree: string;
}

/** One thing that is not as it was backed up, with long texts cut. */
export interface DrillDifference {
  /** `difference`: the drill fails. `remark`: worth knowing. */
  readonly severity: 'difference' | 'remark';
  /** E.g. `table`, `index`, `role`, or `media` for a file of that tree. */
  readonly kind: string;
  readonly object: string;
  /** E.g. `rows`, `owner`, `presence`. */
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

/** What one part of a drill came to: the database, or one tree. */
export interface DrilledPart {
  /** `database`, or the name of a tree. */
  readonly part: string;
  /** Milliseconds by what was done, e.g. `rows`, `reconciliation`. */
  readonly phases: Readonly<Record<string, number>>;
  /** Uncompressed bytes. */
  readonly bytes: number;
  /** At most `DRILL_DIFFERENCES_SHOWN`, differences first; `differenceCount` is exact. */
  readonly differences: readonly DrillDifference[];
  /** Those that make the drill fail, without remarks. */
  readonly differenceCount: number;
  /** In words: what was compared, e.g. `12 tables with 53201 rows`. */
  readonly compared: string;
  /** The source's own, with what came where they did not pass. */
  readonly checks: readonly CheckOutcome[];
  readonly warnings: readonly string[];
}

/** What fits into a result beside everything else. */
export const DRILL_DIFFERENCES_SHOWN = 40;

export interface DrillResult {
  readonly source: string;
  /** `failed`: what was tried could not be recovered as it was, or not at all. `aborted`: somebody stopped it. */
  readonly outcome: 'passed' | 'failed' | 'aborted';
  readonly backup?: string;
  readonly kind?: BackupKind;
  readonly backend?: string;
  readonly parts: readonly DrilledPart[];
  readonly partial: boolean;
  /** Milliseconds from nothing to a database and trees that are proven: what a restore would have taken. */
  readonly recovery?: number;
  /** The same as it usually was before. */
  readonly usual?: number;
  readonly bytes?: number;
  /** Milliseconds, of the whole run. */
  readonly duration: number;
  readonly problem?: StepProblem;
  /** Draws the same copy again as long as the storages hold the same. */
  readonly seed: number;
  /** The drills before this one, newest first. */
  readonly past: readonly PastDrill[];
  readonly warnings: readonly string[];
  /** What could not be removed. */
  readonly leftBehind: readonly string[];
  /** Workflow id of the heal that was told of a missing or damaged copy. */
  readonly heal?: string;
  /** There where the catalog could not be told of it; a run of its own goes on trying. */
  readonly catalog?: 'pending';
}

export type DrillPhase = 'waiting' | 'choosing' | 'restoring' | 'removing' | 'recording' | 'done';

/** Answer of the query `progress`. */
export interface DrillProgress {
  readonly source: string;
  readonly phase: DrillPhase;
  readonly waitingFor?: LockHolder;
  readonly backup?: string;
  readonly backend?: string;
  readonly parts: readonly DrillPartProgress[];
  /** Uncompressed, of all parts. */
  readonly totalBytes?: number;
  /** Milliseconds, as it usually takes. */
  readonly usual?: number;
  /** What went wrong so far: while it is removed what was made, that is what the drill will end with. */
  readonly problem?: string;
}

export interface DrillPartProgress {
  readonly part: string;
  /** E.g. `waiting`, `rows`, `reconciliation`, `done`, `failed`. */
  readonly state: string;
  /** Uncompressed. */
  readonly bytes: number;
}

/** Payload of the signal by which running steps tell how far they are. */
export type DrillReport = DrillPartProgress;

/** What is noted in the catalog. */
export interface DrillNote {
  readonly record: RestoreRecord;
  /** Unset where nothing is said of the copy. `failed`: it could be read, but not recovered from. */
  readonly copy?: {
    readonly outcome: 'passed' | 'damaged' | 'missing' | 'failed';
    readonly message?: string;
  };
}
