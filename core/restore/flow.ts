import { z } from 'zod';
import { WHEN_BUSY, type RestoringProgress, type StepProblem } from '../backup/run.ts';
import type { BackupKind, Tier } from '../config/words.ts';
import type { LockHolder } from '../lockHolder.ts';
import type { Finding } from '../postgres/finding.ts';
import type { PassedOver, Reconciliation, RestoreScope } from './run.ts';
import type { CheckOutcome } from './reconcile/sqlChecks.ts';
import type { PlacedTree, RestoredTree, TakenBackTree, TreeComparison, TreePlace, TreePlan } from './trees/trees.ts';

/**
 * What a restore run is told, what its steps hand each other, and what it answers. All of it passes through the
 * workflow's history: names and numbers only, no secret, small.
 */

const configuredName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected a name from holdfast.yaml');
const text = z.string().min(1);

/**
 * `new`: beside what there is. `replace`: in place of the database, and of trees named with it. `files`: of trees alone.
 * `beside`: trees alone, beside those that are there.
 */
export const RESTORE_MODES = ['new', 'replace', 'files', 'beside'] as const;
export type RestoreMode = (typeof RESTORE_MODES)[number];

/** Whether a mode is one of file trees without a database. */
export function isOfFilesAlone(mode: RestoreMode | undefined): mode is 'files' | 'beside' {
  return mode === 'files' || mode === 'beside';
}

/** Whether a mode takes the place of what is there. */
export function isInPlace(mode: RestoreMode | undefined): mode is 'replace' | 'files' {
  return mode === 'replace' || mode === 'files';
}

/** Input of the workflow `restore`. Only the source is needed: its newest backup goes into a new database. */
export const restoreInput = z
  .strictObject({
    source: configuredName,
    /** `latest`, an id, or the beginning of one. Unset: `latest`. */
    backup: text.optional(),
    /** ISO 8601 time; only with `latest`: the newest that was sealed at or before it. */
    before: text.optional(),
    /** Unset: `new`. */
    mode: z.enum(RESTORE_MODES).optional(),
    /** Name of the new database. Unset: the source's with the run's id; in mode `replace` it can only be the source's. */
    target: text.optional(),
    /**
     * The exact name of what is replaced (the database, or in mode `files` the trees, with commas between): where approval
     * is not required, this makes one unnecessary.
     */
    confirm: text.optional(),
    /** Only these tables, `schema.table` or `table`, and what they need; in mode `new` only. */
    tables: z.array(text).min(1).optional(),
    /** File trees, whole: beside a database, or alone in the modes `files` and `beside`, where all are meant if none is named. */
    files: z.array(configuredName).min(1).optional(),
    /** Single files and folders, `tree/path`. */
    paths: z.array(text).min(1).optional(),
    /** Symbolic links that lead out of a tree are restored too. */
    outsideLinks: z.boolean().optional(),
    /** Storages to read from, in this order. Unset: all that are configured. */
    backends: z.array(configuredName).min(1).optional(),
    /** Make roles that are missing on the server as they were, from the backup. */
    createRoles: z.boolean().optional(),
    /** Everything belongs to the role that restores. */
    noOwner: z.boolean().optional(),
    /** No privilege is granted or revoked. */
    noPrivileges: z.boolean().optional(),
    /** Programs side by side. Unset: the source's `restore.jobs`. */
    jobs: z.int().min(1).max(32).optional(),
    /** Whether what is replaced is backed up before. Unset: `required`. */
    safetyBackup: z.enum(['required', 'skip']).optional(),
    /** Show the plan and end. */
    dryRun: z.boolean().optional(),
    /** While another run works on the source: `wait` for its end, or `refuse` with `SourceBusy`. Unset: `wait`. */
    whenBusy: z.enum(WHEN_BUSY).optional(),
  })
  .superRefine(({ mode = 'new', tables, target, safetyBackup }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (mode === 'replace' && tables !== undefined)
      refuse('tables', 'a database is never replaced by some of its tables: restore them with mode new, and copy them');
    if (isOfFilesAlone(mode) && tables !== undefined) refuse('tables', `mode ${mode} restores no database`);
    if (isOfFilesAlone(mode) && target !== undefined) refuse('target', `mode ${mode} restores no database`);
    if (!isInPlace(mode) && safetyBackup !== undefined) refuse('safetyBackup', `mode ${mode} replaces nothing`);
  });

export type RestoreInput = z.infer<typeof restoreInput>;

export const RESTORE_INPUT_EXAMPLE = '{"source": "shop", "backup": "latest", "mode": "replace", "dryRun": true}';

/** Payload of the update `approve`. */
export const approval = z.strictObject({
  by: z.string().trim().min(1, 'expected the name of who approves').max(200),
  note: z.string().max(1_000).optional(),
});
export const APPROVAL_EXAMPLE = '{"by": "your name"}';
export type Approval = z.infer<typeof approval>;

/** Payload of the update `abort`. */
export const abortion = z.strictObject({
  by: z.string().trim().min(1, 'expected the name of who aborts').max(200),
  reason: z.string().max(1_000).optional(),
});
export const ABORTION_EXAMPLE = '{"by": "your name", "reason": "wrong backup"}';
export type Abortion = z.infer<typeof abortion>;

/** What the step `planRestore` is asked. */
export interface PlanRequest {
  /** Of the run: see `restoreId`. */
  readonly id: string;
  readonly input: RestoreInput;
  /** SHA-256 of the manifest of an earlier plan: the backup that was approved is the one that is restored. */
  readonly manifestSha256?: string;
}

export interface RestorePlan {
  readonly id: string;
  readonly source: string;
  readonly mode: RestoreMode;
  readonly backup: PlannedBackup;
  /** Storages that hold it, in the order in which they are tried. */
  readonly copies: readonly string[];
  readonly passedOver: readonly PassedOver[];
  /** Where the newest was asked for: what speaks for a newer one than `backup`, in words. */
  readonly newer?: readonly string[];
  readonly database?: PlannedDatabase;
  readonly files?: PlannedFiles;
  /** Names that the application needs (recorded with the backup) and that the worker's own environment lacks. */
  readonly missingEnvironment: readonly string[];
  /** Failures first. With one, nothing is begun. */
  readonly findings: readonly Finding[];
  /** Milliseconds, by earlier restores and drills of the same parts. */
  readonly expectedDuration?: number;
  readonly approval: PlannedApproval;
  /** What is replaced is backed up by this plan before. */
  readonly safetyBackup?: { readonly plan: string; readonly kind: BackupKind };
}

export interface PlannedBackup {
  readonly id: string;
  readonly tier: Tier;
  readonly kind: BackupKind;
  readonly startedAt: string;
  /** When the last byte was read: what is restored is from before. */
  readonly sealedAt: string;
  readonly manifestSha256: string;
}

export interface PlannedDatabase {
  /** `host:port`, for people. */
  readonly server: string;
  readonly serverVersion: string;
  /** Name that it has until it is whole. */
  readonly target: string;
  /** Name under which it is found in the end. */
  readonly name: string;
  /** The database in place that makes way, and the name under which it is kept. */
  readonly replaces?: {
    readonly name: string;
    /** PostgreSQL's number of it: another database of this name is not replaced. */
    readonly oid: string;
    readonly bytes: number;
    readonly sessions: number;
    readonly keptAs: string;
    /** Name under which the restored one is set aside where it was in place and does not pass the checks. */
    readonly setAsideAs: string;
    /** It is a template, or the one that was dumped was: such a one cannot be dropped as it is. */
    readonly template?: boolean;
    /** Names of its subscriptions: with them it cannot be dropped as it is either. */
    readonly subscriptions?: readonly string[];
  };
  /** As it was when it was dumped. */
  readonly bytes: number;
  readonly requiredBytes: number;
  readonly freeBytes?: number;
  /** SQL that makes the missing roles, without passwords. */
  readonly createRoles: readonly string[];
  readonly scope: RestoreScope;
  readonly jobs: number;
  /** Says whose an unfinished database is: see RestoreDatabaseOptions. */
  readonly mark: string;
}

export interface PlannedFiles {
  /** The host that has them, for people, and its task queue. */
  readonly host: string;
  readonly hostQueue: string;
  readonly outsideLinks: boolean;
  readonly trees: readonly (TreePlan & { readonly place: TreePlace })[];
}

/** What is restored, by the names that backups have for it. */
export function partsOf({ database, files }: Pick<RestorePlan, 'database' | 'files'>): string[] {
  return [...(database ? ['database'] : []), ...(files?.trees ?? []).map(({ tree }) => tree)];
}

export interface PlannedApproval {
  readonly needed: boolean;
  /** Why it is needed, or why not: a sentence. */
  readonly why: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Which backup the steps after the plan read. */
export interface BackupToRestore {
  readonly source: string;
  readonly backup: Pick<PlannedBackup, 'id' | 'manifestSha256'>;
  readonly copies: readonly string[];
}

/** What the steps that restore a database are told. */
export interface RestoreStep extends BackupToRestore {
  readonly database: PlannedDatabase;
}

/** What the steps that restore a tree are told. */
export interface TreeStep extends BackupToRestore {
  readonly place: TreePlace;
  readonly outsideLinks: boolean;
}

/** A database that was restored, by PostgreSQL's number. */
export interface SwapStep extends RestoreStep {
  readonly oid: string;
}

export interface ReconciledTarget {
  readonly oid: string;
  /** Of the database that has the name of the one to make way. */
  readonly inPlace?: string;
  /** Names of the restored database's subscriptions. */
  readonly subscriptions: readonly string[];
  readonly reconciliation: Reconciliation;
}

export const RESTORE_RUN_PHASES = [
  'plan',
  'approval',
  'waiting',
  'safety backup',
  'roles',
  'restore',
  'reconcile',
  'checks',
  'files',
  'swap',
  'undo',
  'clean-up',
  'done',
] as const;
export type RestoreRunPhase = (typeof RESTORE_RUN_PHASES)[number];

/** Answer of the query `progress`. */
export interface RestoreProgress {
  readonly id: string;
  readonly source: string;
  readonly phase: RestoreRunPhase;
  /** In the phase `waiting`: who works on the source. */
  readonly waitingFor?: LockHolder;
  readonly plan?: RestorePlan;
  /** In the phase `approval`: until when it can be given. ISO 8601. */
  readonly approvalUntil?: string;
  readonly restoring?: RestoringProgress;
  /** Workflow id of the safety backup that runs. */
  readonly safetyBackup?: string;
  /** Milliseconds since the run began. */
  readonly elapsed: number;
  readonly warnings: readonly string[];
  /** Once it has ended: the only place that tells it of a run that was cancelled. */
  readonly result?: RestoreResult;
}

/**
 * `planned`: a dry run. `restored`: done. `degraded`: done, and one of the source's checks does not pass
 * in a new database, something of a tree was left out, or something speaks for a newer backup than this one.
 * `undone`: it was put in place, did not pass the checks, and what was there before is back. `failed`: nothing was changed.
 */
export type RestoreState = 'planned' | 'restored' | 'degraded' | 'undone' | 'failed';

/** What a finished run answers; also the detail of a failed run's error. */
export interface RestoreResult {
  readonly id: string;
  readonly source: string;
  readonly state: RestoreState;
  readonly problem?: StepProblem;
  readonly startedAt: string;
  /** Milliseconds from start to end. */
  readonly duration: number;
  /** Missing where the run failed before it had one. */
  readonly plan?: RestorePlan;
  readonly approvedBy?: Approval;
  readonly abortedBy?: Abortion;
  /** Id of the backup that was made before. */
  readonly safetyBackup?: string;
  /** The storage it was read from. */
  readonly backend?: string;
  readonly passedOver: readonly PassedOver[];
  /** Roles that were made. */
  readonly createdRoles: readonly string[];
  readonly reconciliation?: Reconciliation;
  readonly checks: readonly CheckOutcome[];
  /** Milliseconds that each thing took, by name. */
  readonly durations: Readonly<Record<string, number>>;
  /** Milliseconds from the first change to the last: without plan, approval, waiting and safety backup. */
  readonly recovery?: number;
  /** Name of the restored database. */
  readonly database?: string;
  readonly trees: readonly RestoredTreeResult[];
  /** The one of before, and SQL for its server: what drops it, and what goes back to it. */
  readonly kept?: KeptDatabase;
  /** The restored one, where it was in place and was taken back: an application may have written into it. */
  readonly setAside?: Pick<KeptDatabase, 'name' | 'parting' | 'drop'>;
  /** The same for file trees. */
  readonly setAsideTrees?: readonly TakenBackTree[];
  readonly warnings: readonly string[];
  /** There where the catalog could not be told of it; a run of its own goes on trying. */
  readonly catalog?: 'pending';
}

/** What became of a tree. */
export interface RestoredTreeResult extends PlacedTree {
  readonly restored: RestoredTree;
  readonly comparison: TreeComparison;
}

export interface KeptDatabase {
  readonly name: string;
  /** Where it has subscriptions: SQL for a session in it, before `drop`. */
  readonly parting?: readonly string[];
  readonly drop: string;
  readonly goBack: readonly string[];
}
